/*
 * tortie-prober: the traffic of the lab and of the case runner, in one small static program.
 *
 * It answers on TCP, UDP and SCTP ports with a name, and it finds out which of many targets answer. Both ends can sit in any
 * network namespace: a socket stays in the namespace it was made in, so one process and one thread serve and probe a
 * whole rack. SCTP goes over raw sockets (INIT out, INIT ACK with the server's name as state cookie back, ABORT to close),
 * because kernels without SCTP sockets still track and filter the protocol.
 *
 * USAGE
 *   tortie-prober serve --name NAME [--netns NS] [--tcp PORTS] [--udp PORTS] [--sctp PORTS]
 *       Serves until SIGTERM, IPv4 and IPv6. Prints "ready" once all sockets listen. TCP: sends "NAME\n", then echoes.
 *       UDP: answers "NAME\n" followed by the datagram. PORTS is 80 or 80,90-95.
 *   tortie-prober probe [--timeout MS] [--quiet MS] [--window N]
 *       Reads one target per line until end of input, probes all at once, prints one verdict per target as each is known:
 *         ID NETNS tcp|udp|sctp SOURCE DESTINATION PORT [allow|drop]
 *       SOURCE is an address of the namespace, or - to let the kernel choose. The verdicts, tab separated:
 *         ID allow NAME MICROSECONDS   something answered (NAME is "-" if the connection opened and no name came)
 *         ID drop                      nothing came back in time
 *         ID refused                   a TCP reset or an ICMP port unreachable came back
 *         ID unreachable TEXT          ICMP or the local stack says there is no way
 *         ID error TEXT                the probe itself could not be made
 *       Without a seventh word a target has until --timeout (default 1000). With `allow` it has until --timeout. With `drop` it ends
 *       --quiet (default 250) after its start, but not before every `allow` target is settled and twice the time of
 *       the slowest of them has passed again: on a busy machine the silence is as long as answers take.
 *   tortie-prober session [--timeout MS] [--quiet MS] [--window N]
 *       Reads commands, one per line, and acts on each at once:
 *         serve NETNS NAME tcp|udp|sctp PORTS      answered by "ok" or "error TEXT"
 *         stop NETNS                               closes everything in it (do this before deleting a namespace); "ok"
 *         probe ID NETNS PROTOCOL SOURCE DESTINATION PORT [allow|drop]      queued, no answer
 *         run TAG                                  probes what is queued: verdict lines, then "done TAG"
 *       Ends at end of input.
 *   tortie-prober stream --to ADDRESS --port PORT [--protocol udp|tcp] [--netns NS] [--source ADDRESS] [--interval MS]
 *                        [--duration MS] [--fresh] [--trace]
 *       A steady flow: one datagram (or one write on one connection) every --interval (default 10), until --duration or
 *       SIGTERM; with --fresh every UDP datagram is a new flow from a new port. Prints "started", with --trace a line for each answer (time of
 *       sending by CLOCK_MONOTONIC and round trip, both in microseconds), and at the end one JSON line:
 *         {"sent":n,"received":n,"lost":n,"longestGapMs":n,"maxRttUs":n,"error":""}
 *   tortie-prober rate --to ADDRESS --port PORT --kind rr|crr [--netns NS] [--source ADDRESS] [--duration MS]
 *       As many one-byte requests on one TCP connection (rr), or TCP connections one after the other (crr), as go in
 *       --duration (default 1000). Prints {"kind":"rr","count":n,"seconds":s,"perSecond":n}.
 *   NETNS and NS: "-" (where the program was started), a name under /run/netns, a path, or pid:N.
 *
 * Exit status: 0 done, 1 the environment refused (the reason is on stderr), 2 bad usage.
 * Bounds: the file-descriptor limit is raised to the hard limit; --window (default 2000) caps sockets in flight.
 */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WORDS = 8 };

static void fail_usage(const char *what, const char *value) {
  fprintf(stderr, "Cannot run tortie-prober: %s \"%s\"; the usage stands at the head of prober.c\n", what, value);
  exit(2);
}

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* The value of --option in argv, or fallback; argv is checked against the known options first. */
static const char *option(int argc, char **argv, const char *name, const char *fallback) {
  for (int i = 2; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0) return argv[i + 1];
  return fallback;
}

static bool has_flag(int argc, char **argv, const char *flag) {
  for (int i = 2; i < argc; i++)
    if (strcmp(argv[i], flag) == 0) return true;
  return false;
}

/* `flags`: whether --fresh and --trace, which have no value, are allowed. */
static void check_options(int argc, char **argv, const char *const *known, bool flags) {
  for (int i = 2; i < argc; i++) {
    if (flags && (strcmp(argv[i], "--fresh") == 0 || strcmp(argv[i], "--trace") == 0)) continue;
    const char *const *k = known;
    while (*k != NULL && strcmp(*k, argv[i]) != 0) k++;
    if (*k == NULL) fail_usage("unknown option", argv[i]);
    if (++i == argc) fail_usage("no value after", argv[i - 1]);
  }
}

static long number_option(int argc, char **argv, const char *name, const char *fallback, long low, long high) {
  const char *text = option(argc, argv, name, fallback);
  long value = parse_number(text, low, high);
  if (value < 0) fail_usage(name, text);
  return value;
}

static struct probe_limits limits_of(int argc, char **argv) {
  static const char *const known[] = {"--timeout", "--quiet", "--window", NULL};
  check_options(argc, argv, known, false);
  return (struct probe_limits){
    .timeout_us = 1000 * (uint64_t)number_option(argc, argv, "--timeout", "1000", 1, 600000),
    .quiet_us = 1000 * (uint64_t)number_option(argc, argv, "--quiet", "250", 1, 600000),
    .window = (unsigned)number_option(argc, argv, "--window", "2000", 1, 60000),
  };
}

/* Splits on blanks; returns the number of words, WORDS + 1 when there are more. */
static int split(char *line, char *words[WORDS]) {
  int count = 0;
  char *rest = NULL;
  for (char *word = strtok_r(line, " \t\n", &rest); word != NULL; word = strtok_r(NULL, " \t\n", &rest)) {
    if (count == WORDS) return WORDS + 1;
    words[count++] = word;
  }
  return count;
}

/* ID NETNS PROTOCOL SOURCE DESTINATION PORT [want]: a bad line is that target's error, not the run's. */
static void queue_probe(char **words, int count) {
  char error[256];
  enum protocol protocol;
  union endpoint to;
  long port = count >= 6 ? parse_number(words[5], 1, 65535) : -1;
  enum want want = WANT_ANY;
  if (count == 7 && strcmp(words[6], "allow") == 0) want = WANT_ALLOW;
  else if (count == 7 && strcmp(words[6], "drop") == 0) want = WANT_DROP;
  else if (count == 7) count = 0;
  if (count < 6 || count > 7 || port < 0 || !parse_protocol(words[2], &protocol) || !parse_endpoint(words[4], (uint16_t)port, &to)) {
    printf("%s\terror\tCannot read the target: expected ID NETNS tcp|udp|sctp SOURCE DESTINATION PORT [allow|drop]\n", words[0]);
    return;
  }
  struct place *from = place_of(words[1], error, sizeof error);
  if (from == NULL) printf("%s\terror\t%s\n", words[0], error);
  else probe_add(words[0], from, protocol, words[3], &to, want);
}

static int run_probe(const struct probe_limits *limits) {
  char line[1024];
  char *words[WORDS];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int count = split(line, words);
    if (count > 0) queue_probe(words, count);
  }
  probe_run(limits);
  return 0;
}

static void answer(bool ok, const char *error) {
  if (ok) puts("ok");
  else printf("error\t%s\n", error);
}

static void session_command(char **words, int count, const struct probe_limits *limits) {
  char error[256] = "";
  if (count == 5 && strcmp(words[0], "serve") == 0) {
    enum protocol protocol;
    struct place *p = place_of(words[1], error, sizeof error);
    if (p != NULL && !parse_protocol(words[3], &protocol)) snprintf(error, sizeof error, "Unknown protocol \"%s\"", words[3]);
    answer(p != NULL && error[0] == '\0' && serve(p, words[2], protocol, words[4], error, sizeof error), error);
  } else if (count == 2 && strcmp(words[0], "stop") == 0) {
    struct place *p = place_of(words[1], error, sizeof error);
    if (p != NULL) serve_stop(p), place_forget(p);
    answer(p != NULL, error);
  } else if (count >= 2 && strcmp(words[0], "probe") == 0) {
    queue_probe(words + 1, count - 1);
  } else if (count == 2 && strcmp(words[0], "run") == 0) {
    probe_run(limits);
    printf("done\t%s\n", words[1]);
  } else {
    printf("error\tUnknown command \"%s\" with %d words\n", words[0], count);
  }
}

/* Commands come in through the loop, so that servers answer while the session waits for its next command. */
static struct { struct watch watch; const struct probe_limits *limits; char text[65536]; size_t length; bool ended; } input;

static void input_ready(struct watch *w, uint32_t events) {
  (void)events;
  ssize_t n = read(w->fd, input.text + input.length, sizeof input.text - input.length - 1);
  if (n <= 0) {
    input.ended = n == 0 || (errno != EAGAIN && errno != EINTR);
    return;
  }
  input.length += (size_t)n;
}

/* Input rests while commands run: a long probe_run() must not fill the buffer behind our back. */
static void run_commands(void) {
  char *words[WORDS];
  char *start = input.text, *end;
  loop_change(&input.watch, 0);
  while ((end = memchr(start, '\n', input.length - (size_t)(start - input.text))) != NULL) {
    *end = '\0';
    int count = split(start, words);
    if (count > 0) session_command(words, count, input.limits);
    start = end + 1;
  }
  input.length -= (size_t)(start - input.text);
  memmove(input.text, start, input.length);
  if (input.length == sizeof input.text - 1) fail_usage("command line longer than the buffer", "");
  loop_change(&input.watch, EPOLLIN);
  fflush(stdout);
}

static int run_session(const struct probe_limits *limits) {
  input.watch = (struct watch){.fd = STDIN_FILENO, .ready = input_ready};
  input.limits = limits;
  loop_add(&input.watch, EPOLLIN);
  while (!input.ended) {
    loop_turn(1000000);
    run_commands();
  }
  return 0;
}

static int run_serve(int argc, char **argv) {
  static const char *const known[] = {"--name", "--netns", "--tcp", "--udp", "--sctp", NULL};
  static const char *const flags[] = {"--tcp", "--udp", "--sctp"};
  char error[256];
  check_options(argc, argv, known, false);
  const char *name = option(argc, argv, "--name", "");
  if (name[0] == '\0' || strlen(name) >= NAME_BYTES) fail_usage("--name is missing or too long:", name);
  struct place *p = place_of(option(argc, argv, "--netns", "-"), error, sizeof error);
  bool ok = p != NULL;
  for (int protocol = TCP; ok && protocol <= SCTP; protocol++) {
    const char *ports = option(argc, argv, flags[protocol], NULL);
    if (ports != NULL) ok = serve(p, name, (enum protocol)protocol, ports, error, sizeof error);
  }
  if (!ok) {
    fprintf(stderr, "Cannot serve \"%s\": %s\n", name, error);
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (;;) loop_turn(1000000);
}

static int run_stream(int argc, char **argv) {
  static const char *const known[] = {"--to", "--port", "--protocol", "--netns", "--source", "--interval", "--duration", NULL};
  char error[256];
  check_options(argc, argv, known, true);
  struct stream_plan plan = {.source = option(argc, argv, "--source", "-")};
  long port = number_option(argc, argv, "--port", "", 1, 65535);
  const char *to = option(argc, argv, "--to", "");
  const char *protocol = option(argc, argv, "--protocol", "udp");
  if (!parse_endpoint(to, (uint16_t)port, &plan.to)) fail_usage("--to is no address:", to);
  if (!parse_protocol(protocol, &plan.protocol) || plan.protocol == SCTP) fail_usage("--protocol is not udp or tcp:", protocol);
  plan.interval_us = 1000 * (uint64_t)number_option(argc, argv, "--interval", "10", 1, 60000);
  plan.duration_us = 1000 * (uint64_t)number_option(argc, argv, "--duration", "86400000", 1, 86400000);
  plan.fresh = has_flag(argc, argv, "--fresh");
  plan.trace = has_flag(argc, argv, "--trace");
  plan.from = place_of(option(argc, argv, "--netns", "-"), error, sizeof error);
  if (plan.from == NULL) {
    fprintf(stderr, "Cannot start the stream: %s\n", error);
    return 1;
  }
  return stream(&plan);
}

static int run_rate(int argc, char **argv) {
  static const char *const known[] = {"--to", "--port", "--kind", "--netns", "--source", "--duration", NULL};
  char error[256];
  check_options(argc, argv, known, false);
  struct rate_plan plan = {.source = option(argc, argv, "--source", "-")};
  const char *to = option(argc, argv, "--to", ""), *kind = option(argc, argv, "--kind", "");
  if (!parse_endpoint(to, (uint16_t)number_option(argc, argv, "--port", "", 1, 65535), &plan.to)) fail_usage("--to is no address:", to);
  if (strcmp(kind, "rr") != 0 && strcmp(kind, "crr") != 0) fail_usage("--kind is not rr or crr:", kind);
  plan.connects = strcmp(kind, "crr") == 0;
  plan.duration_us = 1000 * (uint64_t)number_option(argc, argv, "--duration", "1000", 1, 600000);
  plan.from = place_of(option(argc, argv, "--netns", "-"), error, sizeof error);
  if (plan.from != NULL) return rate(&plan);
  fprintf(stderr, "Cannot measure: %s\n", error);
  return 1;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  if (strcmp(mode, "serve") == 0) return run_serve(argc, argv);
  if (strcmp(mode, "stream") == 0) return run_stream(argc, argv);
  if (strcmp(mode, "rate") == 0) return run_rate(argc, argv);
  if (strcmp(mode, "probe") == 0 || strcmp(mode, "session") == 0) {
    struct probe_limits limits = limits_of(argc, argv);
    return strcmp(mode, "probe") == 0 ? run_probe(&limits) : run_session(&limits);
  }
  fail_usage("unknown mode", mode);
}
