// Phases and latencies, one JSON line each, and what the speaker under test used meanwhile.
//
//   all_ms         first UPDATE byte written by a sender -> last expected prefix parsed by the last receiver
//   fib_ms         the same until the kernel of the speaker's namespace holds the table
//   hwm_kb         sum of VmHWM of the speaker's processes
//   threads_ms     processor time of the speaker's threads, main_ms: of its main threads alone (exact where cpu_s counts ticks)
//   bad, unknown   prefixes with other attributes than announced; prefixes never announced
//   other_cpu_s    CPU used by anybody but the speaker and this program: runs with much of it prove nothing
#include "load.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int fib_fd = -1;

static double proc_cpu(int pid) {
  char p[64], b[1024];
  snprintf(p, sizeof p, "/proc/%d/stat", pid);
  int fd = open(p, O_RDONLY);
  if (fd < 0) return 0;
  ssize_t r = read(fd, b, sizeof b - 1);
  close(fd);
  if (r <= 0) return 0;
  b[r] = 0;
  char *q = strrchr(b, ')');
  unsigned long ut = 0, st = 0;
  if (q) sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st);
  return (double)(ut + st) / sysconf(_SC_CLK_TCK);
}
// A thread that has ended meanwhile is lost to the sum.
static void thread_times(int pid, usage *u) {
  char p[96], b[128];
  snprintf(p, sizeof p, "/proc/%d/task", pid);
  DIR *d = opendir(p);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    int tid = atoi(e->d_name);
    if (tid <= 0) continue;
    snprintf(p, sizeof p, "/proc/%d/task/%d/schedstat", pid, tid);
    int fd = open(p, O_RDONLY);
    if (fd < 0) continue;
    ssize_t r = read(fd, b, sizeof b - 1);
    close(fd);
    if (r <= 0) continue;
    b[r] = 0;
    double ran = strtoull(b, NULL, 10) / 1e6;
    u->dut_ms += ran;
    if (tid == pid) u->main_ms += ran;
  }
  closedir(d);
}
usage measure(void) {
  usage u = {0};
  for (int i = 0; i < npids; i++) {
    u.dut_cpu += proc_cpu(pids[i]);
    thread_times(pids[i], &u);
    char p[64], l[256];
    snprintf(p, sizeof p, "/proc/%d/status", pids[i]);
    FILE *f = fopen(p, "r");
    if (!f) continue;
    while (fgets(l, sizeof l, f)) {
      long v;
      if (sscanf(l, "VmHWM: %ld", &v) == 1) u.hwm += v;
      if (sscanf(l, "VmRSS: %ld", &v) == 1) u.rss += v;
    }
    fclose(f);
  }
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  u.self_cpu = r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
  FILE *f = fopen("/proc/stat", "r");
  if (f) {
    unsigned long a, b, c, id, io, x, y, st;
    if (fscanf(f, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &a, &b, &c, &id, &io, &x, &y, &st) == 8)
      u.busy = (double)(a + b + c + x + y + st) / sysconf(_SC_CLK_TCK);
    fclose(f);
  }
  return u;
}
long fib_count(void) {
  static char b[8192];
  if (fib_fd < 0) return -1;
  ssize_t r = pread(fib_fd, b, sizeof b - 1, 0);
  if (r <= 0) return -1;
  b[r] = 0;
  char *q = strstr(b, "Prefixes:");
  if (q) return atol(q + 9);
  unsigned a, c, d; // rt6_stats: fib_nodes fib_route_nodes fib_rt_alloc fib_rt_entries ...
  unsigned e;
  if (sscanf(b, "%x %x %x %x", &a, &c, &d, &e) == 4) return e;
  return -1;
}

bool all_estab(void) {
  for (int i = 0; i < nsess; i++)
    if (ss[i].state != ESTAB && ss[i].state != CLOSED && !ss[i].later) return false;
  return true;
}
void idle_for(int msec) {
  u64 end = now_ns() + (u64)msec * 1000000;
  for (u64 t; (t = now_ns()) < end;) turn((int)((end - t) / 1000000) + 1 > 50 ? 50 : (int)((end - t) / 1000000) + 1);
}

// Runs until every receiving session has `want` prefixes (all of its expected
// ones, or none) and, with --fib, the kernel has them too.  Prints one line.
bool phase(const char *name, int round, bool up, u64 t0, usage u0, u32 nmsg_pfx, long fib_want) {
  u64 t_fib = 0, t_all = 0, next_fib = 0, deadline = t0 + (u64)timeout_s * 1000000000;
  int nrecv = 0;
  for (int i = 0; i < nsess; i++) nrecv += ss[i].bits != NULL;
  bool ok = true;
  for (;;) {
    turn(fibns[0] ? 5 : 20);
    u64 t = now_ns();
    if (!t_all) {
      bool done = true;
      for (int i = 0; i < nsess && done; i++)
        if (ss[i].bits && ss[i].have != (up ? ss[i].expect : 0)) done = false;
      if (done) t_all = t;
    }
    if (fibns[0] && !t_fib && t >= next_fib) {
      long c = fib_count();
      t = now_ns();
      next_fib = t + 20000000; // each reading walks the trie: do not ask too often
      if (up ? c >= fib_want : c <= fib_want) t_fib = t;
    }
    if (t_all && (!fibns[0] || t_fib)) break;
    if (t > deadline) { ok = false; break; }
  }
  u64 t_end = now_ns();
  usage u1 = measure(), u2 = u1;
  u64 t_quiet = t_end;
  if (cpu_settle && npids) // the DUT may still be digesting after the last prefix is out
    for (int k = 0; k < 100; k++) {
      idle_for(200);
      usage u = measure();
      bool quiet = u.dut_cpu - u2.dut_cpu < 0.02;
      u2 = u;
      if (quiet) break;
      t_quiet = now_ns();
    }
  u64 first = 0, last = 0, sent = 0, pf = 0, wd = 0, up_ = 0, by = 0, unk = 0, bad = 0, dup = 0, have = 0, echo = 0;
  for (int i = 0; i < nsess; i++) {
    sess *s = &ss[i];
    if (s->t_sent > sent) sent = s->t_sent;
    if (!s->bits) continue;
    if (s->t_first && (!first || s->t_first < first)) first = s->t_first;
    if (s->t_last > last) last = s->t_last;
    pf += s->rx_pfx, wd += s->rx_wd, up_ += s->rx_upd, by += s->rx_bytes, unk += s->unknown, bad += s->bad, dup += s->dup, have += s->have, echo += s->echo;
  }
  double wall = (t_end - t0) / 1e9, other = u1.busy - u0.busy - (u1.dut_cpu - u0.dut_cpu) - (u1.self_cpu - u0.self_cpu);
  printf("{\"label\":\"%s\",\"phase\":\"%s\",\"round\":%d,\"ok\":%s,\"prefixes\":%u,\"sessions\":%d,\"receivers\":%d,"
         "\"all_ms\":%.2f,\"fib_ms\":%.2f,\"first_ms\":%.2f,\"last_ms\":%.2f,\"sent_ms\":%.2f,\"quiet_ms\":%.1f,"
         "\"threads_ms\":%.1f,\"main_ms\":%.1f,\"cpu_s\":%.2f,\"cpu_settled_s\":%.2f,\"rss_kb\":%ld,\"hwm_kb\":%ld,\"self_cpu_s\":%.3f,\"other_cpu_frac\":%.3f,"
         "\"rx_prefixes\":%llu,\"rx_withdrawn\":%llu,\"rx_updates\":%llu,\"rx_bytes\":%llu,\"have\":%llu,\"unknown\":%llu,\"bad\":%llu,\"dup\":%llu,\"echo\":%llu}\n",
         label, name, round, ok ? "true" : "false", nmsg_pfx, nsess, nrecv, ms(t0, t_all), ms(t0, t_fib), ms(t0, first), ms(t0, last), ms(t0, sent),
         ms(t0, t_quiet), u1.dut_ms - u0.dut_ms, u1.main_ms - u0.main_ms, u1.dut_cpu - u0.dut_cpu, u2.dut_cpu - u0.dut_cpu, u1.rss, u2.hwm, u1.self_cpu - u0.self_cpu, wall > 0 ? other / (2 * wall) : 0,
         (unsigned long long)pf, (unsigned long long)wd, (unsigned long long)up_, (unsigned long long)by, (unsigned long long)have,
         (unsigned long long)unk, (unsigned long long)bad, (unsigned long long)dup, (unsigned long long)echo);
  fflush(stdout);
  return ok;
}
void reset_counters(void) {
  for (int i = 0; i < nsess; i++) {
    sess *s = &ss[i];
    s->rx_pfx = s->rx_wd = s->rx_upd = s->rx_bytes = s->unknown = s->bad = s->dup = s->echo = s->t_first = s->t_last = s->t_full = 0;
    s->t_sent = 0;
  }
}
void clear_bits(void) {
  for (int i = 0; i < nsess; i++)
    if (ss[i].bits) memset(ss[i].bits, 0, 8ull * ((npfx + 63) / 64)), ss[i].have = 0;
}

static int cmpd(const void *a, const void *b) {
  double x = *(double *)a, y = *(double *)b;
  return x < y ? -1 : x > y;
}
static void print_lat(const char *name, double *v, int n, int miss) {
  if (!n) { printf("{\"label\":\"%s\",\"phase\":\"%s\",\"n\":0,\"missed\":%d}\n", label, name, miss); return; }
  qsort(v, n, sizeof *v, cmpd);
  printf("{\"label\":\"%s\",\"phase\":\"%s\",\"n\":%d,\"missed\":%d,\"min_ms\":%.3f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
         label, name, n, miss, v[0], v[n / 2], v[(int)(n * 0.9)], v[(int)(n * 0.99)], v[n - 1]);
  fflush(stdout);
}
void latency(group *lg) {
  sess *s = &ss[lg->s0];
  double *ra = xalloc(8 * lat_n), *fa = xalloc(8 * lat_n), *rw = xalloc(8 * lat_n), *fw = xalloc(8 * lat_n);
  int nra = 0, nfa = 0, nrw = 0, nfw = 0, miss = 0;
  for (int it = 0; it < lat_n; it++) {
    u32 i = s->first + it % s->n;
    for (int up = 1; up >= 0; up--) {
      buf b = {0};
      if (up) emit_announce(&b, lg, i, 1, s->as, 0);
      else emit_withdraw(&b, i, 1);
      lat_idx = i, lat_fib_t = 0, lat_want_del = !up;
      u64 t0 = now_ns(), t_rx = 0;
      send_stream(s, &b);
      pump_out(s);
      u64 dl = t0 + 5000000000ull;
      for (;;) {
        turn(20);
        u64 t = now_ns();
        if (!t_rx) {
          bool done = true;
          for (int k = 0; k < nsess; k++)
            if (ss[k].bits && !!(ss[k].bits[i >> 6] >> (i & 63) & 1) != up) done = false;
          if (done) t_rx = t;
        }
        if ((t_rx && (nl_fd < 0 || lat_fib_t)) || t > dl) break;
      }
      if (t_rx) *(up ? &ra[nra++] : &rw[nrw++]) = ms(t0, t_rx);
      else miss++;
      if (lat_fib_t) *(up ? &fa[nfa++] : &fw[nfw++]) = ms(t0, lat_fib_t);
      idle_for(gap_ms);
      s->tx = NULL;
      free(b.b);
    }
  }
  print_lat("lat-announce-rx", ra, nra, miss);
  print_lat("lat-withdraw-rx", rw, nrw, miss);
  if (nl_fd >= 0) print_lat("lat-announce-fib", fa, nfa, lat_n - nfa), print_lat("lat-withdraw-fib", fw, nfw, lat_n - nfw);
}
