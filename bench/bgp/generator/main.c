// A BGP load generator and sink. See load.h for its parts; `bgpload` without arguments tells its options.
//
//   bgpload -S ns=a,src=10.10.0.2,dst=10.10.0.1,as=4200000001,n=100000 -R ns=b,src=10.20.0.2,dst=10.20.0.1,as=65500 --dutas 65000 --withdraw
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

group grp[MAXGRP];
int ngrp;
u64 seed = 1;
u32 dutas;
int pids[MAXPIDS], npids;
int timeout_s = 170, gap_ms = 20;
static int rounds = 1, settle_ms = 1500, hold_after = 0;
bool verbose, cpu_settle = true, noorder;
static bool do_withdraw, do_modify, do_drop, do_refresh, do_late, noverify;
int lat_n = 50;
static int idle_ms = 0;
int ramp;
double alpha = 1.1;
u32 maxgroup = 500;
char fibns[64], label[64] = "run";
static char dumpfile[256];

void die(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  fputs("bgpload: ", stderr);
  vfprintf(stderr, fmt, ap);
  fputc('\n', stderr);
  va_end(ap);
  exit(2);
}
void *xalloc(size_t n) {
  void *p = calloc(1, n ? n : 1);
  if (!p) die("out of memory (%zu)", n);
  return p;
}
u64 now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (u64)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void parse_addr(const char *a, int port, struct sockaddr_storage *o) {
  struct sockaddr_in *v4 = (void *)o;
  struct sockaddr_in6 *v6 = (void *)o;
  memset(o, 0, sizeof *o);
  if (inet_pton(AF_INET, a, &v4->sin_addr) == 1) v4->sin_family = AF_INET, v4->sin_port = htons(port);
  else if (inet_pton(AF_INET6, a, &v6->sin6_addr) == 1) v6->sin6_family = AF_INET6, v6->sin6_port = htons(port);
  else die("bad address %s", a);
}
static void parse_group(char *spec, bool sender) {
  if (ngrp == MAXGRP) die("too many groups");
  group *g = &grp[ngrp++];
  *g = (group){.used = true, .sender = sender, .recv = !sender, .as = 65500, .asstep = 1, .k = 1, .hold = 180, .n = 1000, .af = 4, .gr = -1, .port = 179};
  char src[64] = "", dst[64] = "", nh6[64] = "", nh4[64] = "", rid[64] = "";
  for (char *kv = strtok(spec, ","); kv; kv = strtok(NULL, ",")) {
    char *v = strchr(kv, '=');
    if (v) *v++ = 0;
    else v = "1";
    if (!strcmp(kv, "ns")) snprintf(g->ns, sizeof g->ns, "%s", v);
    else if (!strcmp(kv, "src")) snprintf(src, sizeof src, "%s", v);
    else if (!strcmp(kv, "dst")) snprintf(dst, sizeof dst, "%s", v);
    else if (!strcmp(kv, "nh6")) snprintf(nh6, sizeof nh6, "%s", v);
    else if (!strcmp(kv, "nh4")) snprintf(nh4, sizeof nh4, "%s", v);
    else if (!strcmp(kv, "rid")) snprintf(rid, sizeof rid, "%s", v);
    else if (!strcmp(kv, "port")) g->port = atoi(v);
    else if (!strcmp(kv, "as")) g->as = strtoul(v, 0, 10);
    else if (!strcmp(kv, "asstep")) g->asstep = atoi(v);
    else if (!strcmp(kv, "k")) g->k = atoi(v);
    else if (!strcmp(kv, "n")) g->n = atoi(v);
    else if (!strcmp(kv, "hold")) g->hold = atoi(v);
    else if (!strcmp(kv, "share")) g->share = strcmp(v, "pl") ? atof(v) : 0;
    else if (!strcmp(kv, "len")) g->dist = atoi(v);
    else if (!strcmp(kv, "af")) g->af = atoi(v);
    else if (!strcmp(kv, "gr")) g->gr = atoi(v);
    else if (!strcmp(kv, "recv")) g->recv = atoi(v);
    else if (!strcmp(kv, "listen")) g->listen = atoi(v);
    else if (!strcmp(kv, "same")) g->same = atoi(v);
    else if (!strcmp(kv, "lat")) g->lat = atoi(v);
    else if (!strcmp(kv, "phantom")) g->phantom = atoi(v);
    else die("unknown key %s", kv);
  }
  if (!*src) strcpy(src, "127.0.0.1");
  parse_addr(src, g->listen ? g->port : 0, &g->src);
  if (*dst) parse_addr(dst, g->port, &g->dst);
  if (g->src.ss_family == AF_INET) g->nh4 = ((struct sockaddr_in *)&g->src)->sin_addr;
  else g->nh6 = ((struct sockaddr_in6 *)&g->src)->sin6_addr;
  if (*nh4) inet_pton(AF_INET, nh4, &g->nh4);
  if (*nh6) inet_pton(AF_INET6, nh6, &g->nh6);
  struct in_addr r;
  if (*rid && inet_pton(AF_INET, rid, &r) == 1) g->rid = ntohl(r.s_addr);
  else g->rid = g->src.ss_family == AF_INET ? ntohl(g->nh4.s_addr) : 0x0b000000u + ngrp * 0x10000u;
  if (g->same) noverify = true;
}

static void usage_exit(void) {
  fputs("usage: bgpload -S k=v,... [-R k=v,...] [--dutas N] [--pids a,b] [--withdraw] [--modify] [--drop] [--refresh] [--late] [--rounds N]\n"
        "  [--fib NETNS] [--lat N] [--gap MS] [--settle MS] [--timeout S] [--seed N] [--alpha F] [--ordered] [--noverify] [--label TXT]\n"
        "  [--idle MS] [--hold S] [--ramp N] [--nosettle] [--dump FILE] [-v]\n"
        "group keys: ns src dst port as asstep k n af=4|6|46 hold gr=SEC rid share=pl|N len=N nh4 nh6 recv listen same lat phantom\n", stderr);
  exit(1);
}

int main(int argc, char **argv) {
  bool lat_on = false;
  for (int i = 1; i < argc; i++) {
    char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
#define ARG (v ? (i++, v) : (usage_exit(), ""))
    if (!strcmp(a, "-S")) parse_group(strdup(ARG), true);
    else if (!strcmp(a, "-R")) parse_group(strdup(ARG), false);
    else if (!strcmp(a, "--dutas")) dutas = strtoul(ARG, 0, 10);
    else if (!strcmp(a, "--pids")) { for (char *p = strtok(strdup(ARG), ","); p && npids < MAXPIDS; p = strtok(NULL, ",")) pids[npids++] = atoi(p); }
    else if (!strcmp(a, "--withdraw")) do_withdraw = true;
    else if (!strcmp(a, "--modify")) do_modify = true;
    else if (!strcmp(a, "--drop")) do_drop = true;
    else if (!strcmp(a, "--refresh")) do_refresh = true;
    else if (!strcmp(a, "--late")) do_late = true;
    else if (!strcmp(a, "--rounds")) rounds = atoi(ARG);
    else if (!strcmp(a, "--fib")) snprintf(fibns, sizeof fibns, "%s", ARG);
    else if (!strcmp(a, "--lat")) lat_on = true, lat_n = atoi(ARG);
    else if (!strcmp(a, "--gap")) gap_ms = atoi(ARG);
    else if (!strcmp(a, "--settle")) settle_ms = atoi(ARG);
    else if (!strcmp(a, "--timeout")) timeout_s = atoi(ARG);
    else if (!strcmp(a, "--idle")) idle_ms = atoi(ARG);
    else if (!strcmp(a, "--hold")) hold_after = atoi(ARG);
    else if (!strcmp(a, "--seed")) seed = strtoull(ARG, 0, 10);
    else if (!strcmp(a, "--ramp")) ramp = atoi(ARG);
    else if (!strcmp(a, "--alpha")) alpha = atof(ARG);
    else if (!strcmp(a, "--ordered")) noorder = true;
    else if (!strcmp(a, "--noverify")) noverify = true;
    else if (!strcmp(a, "--nosettle")) cpu_settle = false;
    else if (!strcmp(a, "--label")) snprintf(label, sizeof label, "%s", ARG);
    else if (!strcmp(a, "--dump")) snprintf(dumpfile, sizeof dumpfile, "%s", ARG);
    else if (!strcmp(a, "-v")) verbose = true;
    else usage_exit();
  }
  if (!ngrp) usage_exit();
  verify_on = !noverify;
  generate();
  if (*dumpfile) { // just write the first sender's announcements (and, after them, withdrawals to FILE.wd)
    buf b = {0}, w = {0};
    group *g = grp;
    build_announce(&b, g, g->first, g->n, g->as, 0);
    for (u32 i = 0; i < ngid; i++) emit_withdraw(&w, ag[i].first, ag[i].cnt);
    FILE *f = fopen(dumpfile, "w");
    if (!f || fwrite(b.b, 1, b.len, f) != b.len || fclose(f)) die("dump");
    fprintf(stderr, "%u prefixes, %u attribute sets, %zu bytes\n", npfx, ngid, b.len);
    return 0;
  }
  struct rlimit rl = {1 << 16, 1 << 16};
  setrlimit(RLIMIT_NOFILE, &rl);
  orig_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  ep = epoll_create1(EPOLL_CLOEXEC);

  for (int i = 0; i < ngrp; i++) nsess += grp[i].phantom ? 0 : grp[i].k;
  ss = xalloc(nsess * sizeof *ss);
  u32 feed4 = 0, feed6 = 0, lat_total = 0; // prefixes in the bulk feed
  for (int i = 0; i < ngrp; i++)
    if (grp[i].sender) {
      if (grp[i].lat) lat_total += grp[i].total;
      else *(grp[i].af == 4 ? &feed4 : &feed6) += grp[i].total;
    }
  int si = 0;
  for (int i = 0; i < ngrp; i++) {
    group *g = &grp[i];
    g->s0 = si;
    if (g->phantom) continue;
    for (u32 k = 0; k < g->k; k++, si++) {
      sess *s = &ss[si];
      s->i = si, s->fd = -1, s->g = g, s->k = k, s->as = g->as + k * g->asstep, s->src = g->src, s->state = DOWN;
      if (s->src.ss_family == AF_INET) {
        struct sockaddr_in *a = (void *)&s->src;
        a->sin_addr.s_addr = htonl(ntohl(a->sin_addr.s_addr) + k);
      } else {
        u8 *b = ((struct sockaddr_in6 *)&s->src)->sin6_addr.s6_addr;
        wr32(b + 12, rd32(b + 12) + k);
      }
      if (g->sender) {
        s->first = g->same ? g->first : g->first + k * g->n, s->n = g->n;
        if (!g->lat) {
          // each peer's next hop is its own address
          group h = *g;
          if (s->src.ss_family == AF_INET) h.nh4.s_addr = htonl(ntohl(g->nh4.s_addr) + k);
          build_announce(&s->ann[0], &h, s->first, s->n, s->as, 0);
          if (do_modify) build_announce(&s->ann[1], &h, s->first, s->n, s->as, 1);
          u32 step = 900;
          for (u32 q = 0; q < s->n; q += step) emit_withdraw(&s->wd, s->first + q, s->n - q < step ? s->n - q : step);
        }
      }
      if (g->recv) {
        s->bits = xalloc(8ull * ((npfx + 63) / 64));
        if (g->af == 4 || g->af == 46) s->expect += feed4;
        if (g->af == 6 || g->af == 46) s->expect += feed6;
        if (g->sender && !g->lat) s->expect -= s->n;
      }
    }
    if (g->listen) {
      enter_ns(g->ns);
      listen_fd[i] = socket(g->src.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      leave_ns();
      int one = 1;
      setsockopt(listen_fd[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      if (bind(listen_fd[i], (void *)&g->src, salen(&g->src)) || listen(listen_fd[i], 512)) die("listen: %s", strerror(errno));
      struct epoll_event e = {.events = EPOLLIN, .data.u32 = 0x80000000u | i};
      epoll_ctl(ep, EPOLL_CTL_ADD, listen_fd[i], &e);
    }
  }
  int faf = 4;
  for (int i = 0; i < ngrp; i++)
    if (grp[i].sender && grp[i].af == 6) faf = 6;
  if (*fibns) {
    enter_ns(fibns);
    fib_fd = open(faf == 4 ? "/proc/thread-self/net/fib_triestat" : "/proc/thread-self/net/rt6_stats", O_RDONLY | O_CLOEXEC);
    if (lat_on) {
      nl_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
      struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
      int big = 64 << 20;
      setsockopt(nl_fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
      if (bind(nl_fd, (void *)&sa, sizeof sa)) die("netlink: %s", strerror(errno));
      struct epoll_event e = {.events = EPOLLIN, .data.u32 = 0xffffffff};
      epoll_ctl(ep, EPOLL_CTL_ADD, nl_fd, &e);
    }
    leave_ns();
    if (fib_fd < 0) die("fib counter: %s", strerror(errno));
  }

  for (int i = 0; i < nsess && do_late; i++) ss[i].later = !ss[i].g->sender;
  usage e0 = measure();
  u64 t_start = now_ns();
  while (!all_estab()) {
    turn(ramp ? 2 : 20);
    if (now_ns() - t_start > (u64)timeout_s * 1000000000) die("only %u of %d sessions came up", n_estab, nsess);
  }
  u64 t_estab = now_ns();
  usage e1 = measure();
  printf("{\"label\":\"%s\",\"phase\":\"established\",\"sessions\":%d,\"all_ms\":%.1f,\"threads_ms\":%.1f,\"main_ms\":%.1f}\n", label, nsess,
         ms(t_start, t_estab), e1.dut_ms - e0.dut_ms, e1.main_ms - e0.main_ms);
  fflush(stdout);
  idle_for(settle_ms);

  bool ok = true, any_feed = false, any_send = false, any_recv = false;
  for (int i = 0; i < nsess; i++) {
    any_send |= ss[i].g->sender, any_feed |= ss[i].g->sender && !ss[i].g->lat, any_recv |= ss[i].bits != NULL;
  }
  if (!any_send) { // pure sink: count until idle
    u64 t0 = now_ns(), last = 0, base = 0;
    for (;;) {
      turn(50);
      u64 c = 0;
      for (int i = 0; i < nsess; i++) {
        c += ss[i].rx_upd;
        if (ss[i].t_last > last) last = ss[i].t_last;
      }
      base = c;
      u64 t = now_ns();
      if (base && idle_ms && t - last > (u64)idle_ms * 1000000) break;
      if (t - t0 > (u64)timeout_s * 1000000000) break;
      bool full = npfx > 0;
      for (int i = 0; i < nsess; i++)
        if (ss[i].have != ss[i].expect) full = false;
      if (full) break;
    }
    for (int i = 0; i < nsess; i++) {
      sess *s = &ss[i];
      printf("{\"label\":\"%s\",\"phase\":\"sink\",\"session\":%d,\"first_ms\":%.2f,\"last_ms\":%.2f,\"span_ms\":%.2f,\"rx_prefixes\":%llu,\"rx_withdrawn\":%llu,\"rx_updates\":%llu,\"rx_bytes\":%llu,\"unique\":%u,\"eor\":%u}\n",
             label, i, ms(t0, s->t_first), ms(t0, s->t_last), ms(s->t_first, s->t_last), (unsigned long long)s->rx_pfx, (unsigned long long)s->rx_wd,
             (unsigned long long)s->rx_upd, (unsigned long long)s->rx_bytes, s->have, s->eor);
    }
    return 0;
  }
  long fib0 = fib_count();
  usage w0 = measure();
  u64 wt0 = now_ns();
  for (int r = 1; r <= rounds && any_feed && ok; r++) {
    u32 tot = feed4 + feed6;
    if (do_drop && r > 1) { // sessions were dropped in the round before
      for (int i = 0; i < nsess; i++)
        if (ss[i].state == CLOSED) ss[i].state = DOWN, ss[i].dropped = false, ss[i].retry_at = 0, ss[i].tx = NULL;
      while (!all_estab()) turn(20);
      idle_for(settle_ms);
    }
    cur_gen = 0;
    reset_counters();
    usage u0 = measure();
    u64 t0 = now_ns();
    for (int i = 0; i < nsess; i++)
      if (ss[i].g->sender && !ss[i].g->lat) send_stream(&ss[i], &ss[i].ann[0]);
    if (do_late) { // the receivers join only now that the DUT has everything
      usage a = measure();
      for (int quiet = 0; quiet < 3;) {
        idle_for(300);
        usage b = measure();
        quiet = b.dut_cpu - a.dut_cpu < 0.02 ? quiet + 1 : 0;
        a = b;
      }
      u0 = measure(), t0 = now_ns();
      for (int i = 0; i < nsess; i++)
        if (ss[i].later) ss[i].later = false, start_connect(&ss[i]);
      ok = phase("join", r, true, t0, u0, tot, fib0 + tot);
      break;
    }
    ok = phase("announce", r, true, t0, u0, tot, fib0 + tot);
    if (do_refresh && ok) {
      reset_counters(), clear_bits();
      u0 = measure(), t0 = now_ns();
      for (int i = 0; i < nsess; i++)
        if (ss[i].bits && !ss[i].g->sender) {
          u8 *m = ss[i].ctl + ss[i].ctllen;
          put_hdr(m, 23, 5);
          wr16(m + 19, ss[i].g->af == 6 ? 2 : 1), m[21] = 0, m[22] = 1;
          ss[i].ctllen += 23;
          pump_out(&ss[i]);
        }
      ok = phase("refresh", r, true, t0, u0, tot, fib0 + tot);
    }
    if (do_modify && ok) {
      reset_counters(), clear_bits();
      cur_gen = 1;
      u0 = measure(), t0 = now_ns();
      for (int i = 0; i < nsess; i++)
        if (ss[i].g->sender && !ss[i].g->lat) send_stream(&ss[i], &ss[i].ann[1]);
      ok = phase("modify", r, true, t0, u0, tot, fib0 + tot);
    }
    if (do_withdraw && ok) {
      reset_counters();
      u0 = measure(), t0 = now_ns();
      for (int i = 0; i < nsess; i++)
        if (ss[i].g->sender && !ss[i].g->lat) send_stream(&ss[i], &ss[i].wd);
      ok = phase("withdraw", r, false, t0, u0, tot, fib0);
    } else if (do_drop && ok) {
      reset_counters();
      u0 = measure(), t0 = now_ns();
      for (int i = 0; i < nsess; i++)
        if (ss[i].g->sender && !ss[i].g->lat) {
          u8 m[32];
          put_hdr(m, 21, 3), m[19] = 6, m[20] = 2; // Cease / administrative shutdown
          ss[i].dropped = true;
          if (write(ss[i].fd, m, 21) < 0) {}
          close(ss[i].fd), ss[i].fd = -1, ss[i].state = CLOSED;
        }
      ok = phase("drop", r, false, t0, u0, tot, fib0);
    }
  }
  if (lat_on && ok)
    for (int i = 0; i < ngrp; i++)
      if (grp[i].lat) latency(&grp[i]);
  // who else used this machine while we measured?  (runs with a high figure are to be thrown away)
  usage w1 = measure();
  double ww = (now_ns() - wt0) / 1e9;
  printf("{\"label\":\"%s\",\"phase\":\"end\",\"ok\":%s,\"wall_s\":%.3f,\"cpu_s\":%.2f,\"self_cpu_s\":%.3f,\"hwm_kb\":%ld,\"other_cpu_s\":%.2f}\n", label,
         ok ? "true" : "false", ww, w1.dut_cpu - w0.dut_cpu, w1.self_cpu - w0.self_cpu, w1.hwm,
         w1.busy - w0.busy - (w1.dut_cpu - w0.dut_cpu) - (w1.self_cpu - w0.self_cpu));
  fflush(stdout);
  if (hold_after) idle_for(hold_after * 1000);
  (void)any_recv, (void)lat_total;
  return ok ? 0 : 4;
}
