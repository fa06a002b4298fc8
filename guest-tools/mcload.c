// SPDX-License-Identifier: GPL-2.0-only
/*
 * mcload: a memcached server and a client that plays Facebook's ETC pool to it.  After
 * the statistics of Atikoglu, Xu, Frachtenberg, Jiang, Paleczny: Workload analysis of a
 * large-scale key-value store, SIGMETRICS 2012: 30 GETs for a SET, 81.4 % of them hit,
 * most misses are of keys that were never there, and the sizes of keys and values have
 * the distributions that are given below.
 *
 * The server is started as a child and speaks the text protocol (doc/protocol.txt of
 * memcached) through a socket in the file system, so that no network is needed.  A
 * value is a function of its key, and so is its length, so every answer is checked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "roi.h"

#define NOBODY		65534
#define MAX_PIPELINE	256

/* GETs for a SET, and hits among 1000 GETs */
#define GETS		30
#define HITS		814

/* Bytes that a key takes in the server on average, with its value and what is unused */
#define ITEM		330

/* Requests that are written at once: less than a socket takes, so that nobody waits */
#define REQUEST_BYTES	(48 << 10)
#define ANSWER_BYTES	(64 << 10)

/* Sizes are drawn from so many quantiles of their distributions. */
#define QUANTILES	4096
#define MAX_KEY		250
#define MAX_VALUE	(16 << 10)

static const char usage_text[] =
"usage: mcload [OPTION...]\n"
"      --server=PATH     memcached (/usr/bin/memcached)\n"
"  -s, --size=BYTES      about the memory of the server, 16M at least; K, M, G (256M)\n"
"  -r, --requests=N      timed requests; K, M, G (32K)\n"
"  -p, --pipeline=N      requests that are sent before the answers are read (16)\n"
ROI_USAGE
"\n"
"Prints one line of key=value words; READY, TPT and memory are the server's.  Exit\n"
"status: 0; 1 an error, or a value is wrong; 2 wrong usage.\n";

static const char *server = "/usr/bin/memcached";
static uint64_t nr_requests = 32 << 10, pipeline = 16;
static uint64_t nr_keys, nr_octaves, seed = 1, next_unknown;
static uint16_t key_sizes[QUANTILES], value_sizes[QUANTILES];
static uint64_t sets, hits, misses, wrong;

static char directory[] = "/tmp/mcload.XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static pid_t pid;
static int connection = -1;

/* In [begin, end) are requests that are not sent, and bytes that are not read */
static char requests[REQUEST_BYTES + MAX_KEY + MAX_VALUE + 64];
static uint64_t requests_end;
static char answers[ANSWER_BYTES];
static uint64_t answers_begin, answers_end;

static void stop_server(void)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	unlink(address.sun_path);
	rmdir(directory);
}

static void __attribute__((noreturn)) be_server(void)
{
	char memory[16], hash[32], *argv[] = {
		(char *)server, "-s", address.sun_path, "-t", "1", "-c", "16", "-M",
		"-m", memory, "-o", hash, NULL
	};
	int power = 12;
	sigset_t none;

	/* no key is ever thrown out, and the hash table never grows */
	snprintf(memory, sizeof(memory), "%" PRIu64, (roi_size >> 20) * 2 + 64);
	while (power < 32 && nr_keys >> power)
		power++;
	snprintf(hash, sizeof(hash), "hashpower=%d", power);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* as root it would look for a user in /etc/passwd */
	if (!geteuid() && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
		_exit(1);
	/* it may not outlive the client */
	if (!prctl(PR_SET_PDEATHSIG, SIGKILL))
		execv(server, argv);
	fprintf(stderr, "%s: %s: %s\n", program, server, strerror(errno));
	_exit(1);
}

static void start_server(void)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	int n;

	if (!mkdtemp(directory))
		fail(1, "%s: %s", directory, strerror(errno));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	atexit(stop_server);
	if (!geteuid() && chown(directory, NOBODY, NOBODY))
		fail(1, "%s: %s", directory, strerror(errno));

	pid = fork();
	if (pid < 0)
		fail(1, "fork: %s", strerror(errno));
	if (!pid)
		be_server();

	connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (n = 0; connect(connection, (struct sockaddr *)&address, sizeof(address)); n++) {
		if (waitpid(pid, NULL, WNOHANG)) {
			pid = 0;
			fail(1, "the server does not start");
		}
		if (n == 3000)
			fail(1, "no connection to the server: %s", strerror(errno));
		nanosleep(&nap, NULL);
	}
}

/*
 * Sizes.  Of keys: generalized extreme value distribution, mu 30.7984, sigma 8.20449,
 * k 0.078688.  Of values: the small ones have probabilities of their own, the rest a
 * generalized Pareto distribution, theta 0, sigma 214.476, k 0.348238, behind them.
 */
static void make_sizes(void)
{
	static const double small[] = {
		.00536, .00047, .17820, .09239, .00018, .02740, .00065, .00606, .00023, .00837,
		.00837, .08989, .00092, .00326, .01980
	};
	const int nr_small = sizeof(small) / sizeof(small[0]);
	double p, sum, above = 1;
	int i, n;

	for (n = 0; n < nr_small; n++)
		above -= small[n];
	for (i = 0; i < QUANTILES; i++) {
		p = (i + .5) / QUANTILES;
		key_sizes[i] = 30.7984 + 8.20449 / .078688 * (pow(-log(p), -.078688) - 1);
		for (n = 0, sum = small[0]; n < nr_small - 1 && p >= sum; n++)
			sum += small[n + 1];
		value_sizes[i] = n;
		if (p >= 1 - above)
			value_sizes[i] = nr_small +
				214.476 / .348238 * (pow((1 - p) / above, -.348238) - 1);
	}
}

static uint64_t value_size(uint64_t key)
{
	return value_sizes[mix64(key + 1) % QUANTILES];
}

static char *put(char *to, const char *text)
{
	return stpcpy(to, text);
}

static char *put_number(char *to, uint64_t n)
{
	char digits[20];
	int i = 0;

	do {
		digits[i++] = '0' + n % 10;
		n /= 10;
	} while (n);
	while (i)
		*to++ = digits[--i];
	return to;
}

/* What makes keys differ comes first, the rest fills. */
static char *put_key(char *to, uint64_t key)
{
	uint64_t size = key_sizes[mix64(key) % QUANTILES];
	int i;

	for (i = 28; i >= 0; i -= 4)
		*to++ = "0123456789abcdef"[key >> i & 15];
	memset(to, 'a' + key % 26, size - 8);
	return to + size - 8;
}

static char *put_value(char *to, uint64_t key)
{
	uint64_t size = value_size(key), word = mix64(~key), i;

	/* up to 7 bytes more than there are, which the next overwrites */
	for (i = 0; i < size; i += 8, word += 0x9e3779b97f4a7c15)
		memcpy(to + i, &word, 8);
	return to + size;
}

static void send_requests(void)
{
	uint64_t begin = 0;
	ssize_t n;

	while (begin < requests_end) {
		n = send(connection, requests + begin, requests_end - begin, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			fail(1, "the server does not listen: %s", strerror(errno));
		if (n > 0)
			begin += n;
	}
	requests_end = 0;
}

/* Waits until at least @size bytes of the answer are there. */
static void need_answer(uint64_t size)
{
	ssize_t n;

	while (answers_end - answers_begin < size) {
		memmove(answers, answers + answers_begin, answers_end - answers_begin);
		answers_end -= answers_begin;
		answers_begin = 0;
		n = recv(connection, answers + answers_end, sizeof(answers) - answers_end, 0);
		if (!n || (n < 0 && errno != EINTR))
			fail(1, "the server does not answer");
		if (n > 0)
			answers_end += n;
	}
}

/* Takes the next line of the answer, with its end. */
static const char *take_line(uint64_t *size)
{
	const char *end;

	while (!(end = memchr(answers + answers_begin, '\n', answers_end - answers_begin)))
		need_answer(answers_end - answers_begin + 1);
	*size = end + 1 - (answers + answers_begin);
	answers_begin += *size;
	return end + 1 - *size;
}

static void __attribute__((noreturn)) not_understood(const char *line, uint64_t size)
{
	fail(1, "unexpected answer of the server: %.*s", (int)strcspn(strndupa(line, size), "\r\n"),
	     line);
}

static void expect_line(const char *text)
{
	uint64_t size;
	const char *line = take_line(&size);

	if (size < strlen(text) || memcmp(line, text, strlen(text)))
		not_understood(line, size);
}

static void set(uint64_t key, const char *no_reply)
{
	char *p = requests + requests_end;

	p = put_key(put(p, "set "), key);
	p = put_number(put(p, " 0 0 "), value_size(key));
	p = put_value(put(put(p, no_reply), "\r\n"), key);
	requests_end = put(p, "\r\n") - requests;
}

static void get(uint64_t key)
{
	char *p = put_key(put(requests + requests_end, "get "), key);

	requests_end = put(p, "\r\n") - requests;
}

static void check_get(uint64_t key)
{
	char expected[MAX_KEY + MAX_VALUE + 64], *p;
	const char *line;
	uint64_t size;

	line = take_line(&size);
	if (size == 5 && !memcmp(line, "END\r\n", size)) {
		misses++;
		wrong += key < nr_keys;
		return;
	}
	p = put_key(put(expected, "VALUE "), key);
	p = put(put_number(put(p, " 0 "), value_size(key)), "\r\n");
	if (size != (uint64_t)(p - expected) || memcmp(line, expected, size))
		not_understood(line, size);

	hits++;
	size = put(put_value(expected, key), "\r\n") - expected;
	need_answer(size);
	if (roi_verify)
		wrong += key >= nr_keys || memcmp(answers + answers_begin, expected, size);
	answers_begin += size;
	expect_line("END\r\n");
}

static void fill(void)
{
	uint64_t key;

	for (key = 0; key < nr_keys; key++) {
		set(key, " noreply");
		if (requests_end >= REQUEST_BYTES)
			send_requests();
	}
	/* when this is answered, all that has been done */
	requests_end = put(requests + requests_end, "version\r\n") - requests;
	send_requests();
	expect_line("VERSION ");
}

/*
 * Some keys are much more popular than others: about as Zipf says, the rank being as
 * likely in [2^i, 2^(i+1)) for one i as for another.  Popular ones are not neighbours.
 */
static uint64_t popular_key(void)
{
	uint64_t r, first, rank;

	do {
		r = random64(&seed);
		first = 1ULL << below(r, nr_octaves);
		rank = first + (mix64(r) & (first - 1)) - 1;
	} while (rank >= nr_keys);
	return rank * 2654435761 % nr_keys;	/* a prime above all numbers of keys */
}

static void play(uint64_t nr)
{
	uint64_t keys[MAX_PIPELINE], i, n;
	bool is_set[MAX_PIPELINE];

	for (; nr; nr -= n) {
		for (n = 0; n < nr && n < pipeline && requests_end < REQUEST_BYTES; n++) {
			is_set[n] = !below(random64(&seed), GETS + 1);
			if (!is_set[n] && below(random64(&seed), 1000) >= HITS)
				keys[n] = nr_keys + next_unknown++;
			else
				keys[n] = popular_key();
			if (is_set[n])
				set(keys[n], "");
			else
				get(keys[n]);
		}
		send_requests();
		for (i = 0; i < n; i++) {
			if (is_set[i]) {
				expect_line("STORED\r\n");
				sets++;
			} else {
				check_get(keys[i]);
			}
		}
	}
}

int main(int argc, char **argv)
{
	static const struct opt options[] = {
		{ "server", .word = &server },
		{ "requests", 'r', .number = &nr_requests },
		{ "pipeline", 'p', .number = &pipeline },
		{ }
	};
	struct roi_result result = {
		.workload = "memcached", .amount_name = "requests", .threads = 1,
	};
	char more[128];

	program = "mcload";
	roi_options(argc, argv, options, usage_text);
	nr_keys = roi_size / ITEM;
	if (roi_size < 16 << 20 || roi_size > 256ULL << 30)
		fail(2, "--size: not between 16M and 256G");
	if (pipeline < 1 || pipeline > MAX_PIPELINE)
		fail(2, "--pipeline: not between 1 and %d", MAX_PIPELINE);
	if (access(server, X_OK))
		fail(2, "%s: %s", server, strerror(errno));
	while (nr_keys >> nr_octaves)
		nr_octaves++;

	roi_start(1);
	make_sizes();
	start_server();
	fill();
	roi_ready(pid);

	play(nr_requests / 8);
	hits = misses = sets = 0;
	roi_begin();
	play(nr_requests);
	roi_end();

	snprintf(more, sizeof(more), " keys=%" PRIu64 " sets=%" PRIu64 " hits=%" PRIu64 " misses=%" PRIu64,
		 nr_keys, sets, hits, misses);
	result.amount = nr_requests;
	result.pid = pid;
	result.errors = wrong;
	result.more = more;
	roi_report(&result);
	if (wrong)
		fail(1, "%" PRIu64 " answers are wrong", wrong);
	return 0;
}
