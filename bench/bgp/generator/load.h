// What the parts of the load generator share: its types, its settings, and what each part offers the others.
//
// One process plays any number of BGP peers, each in a network namespace of its choice, in one thread around one epoll, so that "first
// UPDATE sent" and "last prefix received" are read from one clock.
//
//   feed.c     the prefixes and attributes of a run, made out of a seed, and their UPDATEs
//   session.c  the sessions: connecting, sending, and comparing what comes in with what has to
//   measure.c  phases and latencies, and what the speaker under test used meanwhile
//   main.c     the command line
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define MAXMSG 4096
#define INBUF (512 * 1024)
#define CHUNK (256 * 1024)
#define MAXGRP 16
#define MAXPIDS 16

// ---- feed.c

// Peers of one kind.
typedef struct {
  bool used, sender, recv, phantom, listen, passive, same, lat;
  char ns[64];
  struct sockaddr_storage src, dst;
  u32 as, asstep, k, hold, rid;
  u32 n;        // prefixes per peer
  double share; // 0: power law, else fixed number of prefixes per attribute set
  int af;       // 4, 6 or 46
  int gr;       // graceful restart time, -1: capability not sent
  int port;
  struct in6_addr nh6;
  struct in_addr nh4;
  u32 first, total; // slice of the global prefix index space
  int dist;         // prefix length mix: 0 internet, else every prefix this long
  int s0;           // first session
} group;

// A set of attributes: prefixes [first, first + cnt) share it. `vh` is what a receiver must find, per generation.
typedef struct { u32 first, cnt, peer_as, aseed; u64 vh[2]; } agrp;
typedef struct { u8 *b; size_t len, cap; } buf;

extern u64 *pkey;  // lookup key of every prefix: v4: bit63|addr<<8|len, v6: hi64|len
extern u32 *pgid;  // attribute set of every prefix
extern u32 npfx, ngid;
extern agrp *ag;

void generate(void);
u32 pfx_find(u64 key);  // index of a prefix, or ~0
u64 vhash(const u32 *path, int np, const u32 *comm, int nc);
u8 *put_hdr(u8 *p, u16 len, u8 type);
void emit_announce(buf *b, const group *g, u32 i, u32 cnt, u32 peer_as, int gen);
void emit_withdraw(buf *b, u32 i, u32 cnt);
void build_announce(buf *b, const group *g, u32 first, u32 n, u32 peer_as, int gen);

// ---- session.c

enum { DOWN, CONNECTING, OPENSENT, OPENCONF, ESTAB, CLOSED };
typedef struct {
  int i, fd, state;
  group *g;
  u32 k, as, first, n;       // own slice
  struct sockaddr_storage src;
  u8 *ib;
  size_t ilen;
  u8 ctl[512];
  size_t ctllen;
  buf ann[2], wd, *tx;       // pre-encoded streams
  size_t txpos;
  u64 next_ka, last_ka, retry_at, peer_hold_ns;
  bool want_w, dropped, later;
  // receiver side
  u64 *bits;
  u32 have, expect;
  u64 rx_pfx, rx_wd, rx_upd, rx_bytes, unknown, bad, dup, echo, t_first, t_last, t_full, t_sent;
  u32 eor;
} sess;

extern sess *ss;
extern int nsess, ep, cur_gen, orig_ns, nl_fd, listen_fd[MAXGRP];
extern u32 lat_idx, n_estab;
extern u64 lat_fib_t;
extern bool lat_want_del, verify_on;

void enter_ns(const char *ns);
void leave_ns(void);
socklen_t salen(const struct sockaddr_storage *s);
void start_connect(sess *s);
void pump_out(sess *s);
void send_stream(sess *s, buf *b);
void turn(int wait_ms);  // one turn of the event loop; waits at most so long

// ---- measure.c

typedef struct { double dut_cpu, dut_ms, main_ms, self_cpu, busy; long rss, hwm; } usage;

extern int fib_fd;

usage measure(void);
long fib_count(void);
bool all_estab(void);
void idle_for(int msec);
bool phase(const char *name, int round, bool up, u64 t0, usage u0, u32 prefixes, long fib_want);
void reset_counters(void);
void clear_bits(void);
void latency(group *lg);

// ---- main.c: settings

extern group grp[MAXGRP];
extern int ngrp;
extern u64 seed;
extern u32 dutas, maxgroup;
extern int pids[MAXPIDS], npids;
extern int timeout_s, gap_ms, lat_n, ramp;
extern bool verbose, cpu_settle, noorder;
extern double alpha;
extern char fibns[64], label[64];

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);
void *xalloc(size_t n);
u64 now_ns(void);

static inline double ms(u64 a, u64 b) { return a && b >= a ? (b - a) / 1e6 : -1; }
static inline u64 mix64(u64 x) {
  x ^= x >> 30, x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27, x *= 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
static inline u64 rng(u64 *s) { return mix64(*s += 0x9e3779b97f4a7c15ull); }
static inline u32 rnd(u64 *s, u32 n) { return (u32)((rng(s) >> 32) * n >> 32); }
static inline double rndf(u64 *s) { return ((rng(s) >> 11) + 1) * 0x1.0p-53; }

static inline u32 rd32(const u8 *p) { return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static inline u16 rd16(const u8 *p) { return p[0] << 8 | p[1]; }
static inline void wr32(u8 *p, u32 v) { p[0] = v >> 24, p[1] = v >> 16, p[2] = v >> 8, p[3] = v; }
static inline void wr16(u8 *p, u16 v) { p[0] = v >> 8, p[1] = v; }

#endif
