// SPDX-License-Identifier: GPL-2.0-only
// Writes to page-table entries that no call of tpt_entry_changed() follows; see
// scripts/check.d/08-hooks.

@followed@
typedef pte_t, pmd_t, pud_t, p4d_t, pgd_t;
{pte_t *, pmd_t *, pud_t *, p4d_t *, pgd_t *} p;
expression E, B, O;
identifier f;
position q;
@@
(
  WRITE_ONCE(*p, E)@q
|
  *p =@q E
|
  xchg(p, E)@q
|
  xchg(&p->f, E)@q
|
  test_and_clear_bit(B, (unsigned long *)&p->f)@q
|
  test_and_clear_bit(B, (unsigned long *)p)@q
|
  test_and_set_bit(B, (unsigned long *)&p->f)@q
|
  clear_bit(B, (unsigned long *)&p->f)@q
|
  set_bit(B, (unsigned long *)&p->f)@q
|
  try_cmpxchg((long *)&p->f, O, E)@q
|
  try_cmpxchg((long *)p, O, E)@q
)
  ... when any
  tpt_entry_changed(p, ...)

@@
{pte_t *, pmd_t *, pud_t *, p4d_t *, pgd_t *} p;
expression E, B, O;
identifier f;
position q != followed.q;
@@
(
* WRITE_ONCE(*p, E)@q
|
* *p =@q E
|
* xchg(p, E)@q
|
* xchg(&p->f, E)@q
|
* test_and_clear_bit(B, (unsigned long *)&p->f)@q
|
* test_and_clear_bit(B, (unsigned long *)p)@q
|
* test_and_set_bit(B, (unsigned long *)&p->f)@q
|
* clear_bit(B, (unsigned long *)&p->f)@q
|
* set_bit(B, (unsigned long *)&p->f)@q
|
* try_cmpxchg((long *)&p->f, O, E)@q
|
* try_cmpxchg((long *)p, O, E)@q
)
