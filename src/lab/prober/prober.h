/* Shared declarations of tortie-prober. What the program is and how it is used stands at the head of prober.c. */
#ifndef TORTIE_PROBER_H
#define TORTIE_PROBER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { NAME_BYTES = 384, DATAGRAM_BYTES = 2048 };

enum protocol { TCP, UDP, SCTP };

/* One address with its port, either family. */
union endpoint {
  struct sockaddr generic;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* --- endpoint.c: addresses, protocols and ports as text --- */
bool parse_endpoint(const char *address, uint16_t port, union endpoint *out);
socklen_t endpoint_size(const union endpoint *e);
bool same_address(const union endpoint *a, const union endpoint *b);
bool parse_protocol(const char *text, enum protocol *out);
/* Calls each() for every port of "80,90-95"; false when the text is not a port list. */
bool each_port(const char *list, void (*each)(uint16_t port, void *context), void *context);
/* Strict decimal within bounds; -1 when it is not. */
long parse_number(const char *text, long low, long high);

/* --- loop.c: one epoll loop, one clock, tickers --- */
struct watch {
  int fd;
  void (*ready)(struct watch *self, uint32_t events);
};
uint64_t now_us(void);
void loop_add(struct watch *w, uint32_t events);
void loop_change(struct watch *w, uint32_t events);
/* Closes the descriptor; the caller frees the watch in the next tick or later, never inside ready(). */
void loop_close(struct watch *w);
/* Runs one turn: waits at most `wait_us`, then delivers events. */
void loop_turn(uint64_t wait_us);
/* Frees `memory` after the running turn, when no event can name it any more. */
void loop_free_later(void *memory);

/* --- place.c: network namespaces and the sockets made in them --- */
struct place;
/* "-" is the namespace the program was started in; "pid:N", a path, or a name under /run/netns. NULL after printing why. */
struct place *place_of(const char *text, char *error, size_t error_bytes);
const char *place_name(const struct place *p);
/* socket(2) inside the namespace, non-blocking; -1 and errno. */
int place_socket(struct place *p, int domain, int type, int protocol);
/* Forgets the namespace; its sockets must have been closed (serve_stop). */
void place_forget(struct place *p);

/* --- sctp.c: the three SCTP packets a probe needs (RFC 9260), over one raw socket per namespace and family --- */
struct sctp_probe { /* what a probe gives and is given back */
  union endpoint local, remote;
  uint32_t tag;
  void (*answered)(struct sctp_probe *self, const char *name);
  struct sctp_probe *next;
};
bool sctp_listen(struct place *p, uint16_t port, const char *name, char *error, size_t error_bytes);
/* Closes what is open in the namespace, probes' raw sockets included. */
void sctp_stop(const struct place *p);
/* Sends, or with a tag already chosen repeats, an INIT; `answered` is called at most once. */
bool sctp_send_init(struct place *p, struct sctp_probe *probe, char *error, size_t error_bytes);
void sctp_forget(struct place *p, struct sctp_probe *probe);

/* --- serve.c --- */
bool serve(struct place *p, const char *name, enum protocol protocol, const char *ports, char *error, size_t error_bytes);
void serve_stop(const struct place *p);

/* --- probe.c --- */
enum want { WANT_ANY, WANT_ALLOW, WANT_DROP };
struct probe_limits {
  uint64_t timeout_us, quiet_us;
  unsigned window;
};
struct probe_limits probe_default_limits(void);
/* Queues one probe; the answer is a line on stdout, printed while probe_run() runs. */
void probe_add(const char *id, struct place *from, enum protocol protocol, const char *source, const union endpoint *to,
               enum want want);
void probe_run(const struct probe_limits *limits);
/* A source port that has not been used for a long time, so that no conntrack entry of an earlier probe answers for it. */
uint16_t fresh_port(void);
/* Binds to source (or the wildcard) and a fresh port; false and errno when none of many ports is free. */
bool bind_fresh(int fd, const char *source, int family, union endpoint *bound);

/* --- stream.c --- */
struct stream_plan {
  struct place *from;
  enum protocol protocol;
  const char *source;
  union endpoint to;
  uint64_t interval_us, duration_us;
  bool fresh, trace;
};
int stream(const struct stream_plan *plan);

/* --- rate.c --- */
struct rate_plan {
  struct place *from;
  const char *source;
  union endpoint to;
  bool connects; /* new connections instead of requests on one */
  uint64_t duration_us;
};
int rate(const struct rate_plan *plan);

#endif
