// The sessions: as much of BGP as it takes to bring them up, keep them up, send prepared UPDATEs as fast as they are taken, and compare
// every prefix that comes in with what has to come.
#include "load.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

sess *ss;
int nsess, ep, cur_gen, orig_ns, nl_fd = -1, listen_fd[MAXGRP];
u32 lat_idx = ~0u;
u64 lat_fib_t;
bool lat_want_del;
u32 n_estab;
bool verify_on = true;

void enter_ns(const char *ns) {
  if (!*ns) return;
  char p[128];
  snprintf(p, sizeof p, "/var/run/netns/%s", ns);
  int fd = open(p, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET)) die("netns %s: %s", ns, strerror(errno));
  close(fd);
}
void leave_ns(void) {
  if (setns(orig_ns, CLONE_NEWNET)) die("setns: %s", strerror(errno));
}
socklen_t salen(const struct sockaddr_storage *s) {
  return s->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}
static void watch(sess *s, bool w) {
  struct epoll_event e = {.events = EPOLLIN | (w ? EPOLLOUT : 0), .data.u32 = s->i};
  epoll_ctl(ep, EPOLL_CTL_MOD, s->fd, &e);
  s->want_w = w;
}
static void sock_opts(int fd) {
  int one = 1, big = 4 << 20;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
}
static void put_open(sess *s) {
  u8 *m = s->ctl + s->ctllen, *p = m + 19;
  group *g = s->g;
  *p++ = 4;
  wr16(p, s->as > 65535 ? 23456 : s->as), p += 2;
  wr16(p, g->hold), p += 2;
  wr32(p, g->rid + s->k), p += 4;
  u8 *ol = p++;
  u8 *pl;
  *p++ = 2, pl = p++;
  for (int a = 1; a <= 2; a++)
    if (g->af == 46 || g->af == (a == 1 ? 4 : 6)) *p++ = 1, *p++ = 4, wr16(p, a), p[2] = 0, p[3] = 1, p += 4;
  *p++ = 2, *p++ = 0;                                 // route refresh
  *p++ = 65, *p++ = 4, wr32(p, s->as), p += 4;        // four-octet AS
  if (g->gr >= 0) {                                   // graceful restart
    u8 *l;
    *p++ = 64, l = p++, wr16(p, g->gr & 0xfff), p += 2;
    for (int a = 1; a <= 2; a++)
      if (g->af == 46 || g->af == (a == 1 ? 4 : 6)) wr16(p, a), p[2] = 1, p[3] = 0, p += 4;
    *l = p - l - 1;
  }
  *pl = p - pl - 1, *ol = p - ol - 1;
  put_hdr(m, p - m, 1);
  s->ctllen += p - m;
}
static void put_ka(sess *s) {
  if (s->ctllen + 19 > sizeof s->ctl) return;
  put_hdr(s->ctl + s->ctllen, 19, 4);
  s->ctllen += 19;
}

void start_connect(sess *s) {
  enter_ns(s->g->ns);
  s->fd = socket(s->src.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  leave_ns();
  if (s->fd < 0) die("socket: %s", strerror(errno));
  int one = 1;
  setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sock_opts(s->fd);
  if (bind(s->fd, (void *)&s->src, salen(&s->src))) die("bind: %s", strerror(errno));
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u32 = s->i};
  epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e);
  s->want_w = true, s->state = CONNECTING, s->ilen = 0, s->ctllen = 0;
  if (connect(s->fd, (void *)&s->g->dst, salen(&s->g->dst)) && errno != EINPROGRESS) {
    close(s->fd), s->fd = -1, s->state = DOWN, s->retry_at = now_ns() + 250000000;
  }
}
static void sess_closed(sess *s, const char *why) {
  if (s->state == ESTAB && !s->dropped) {
    fprintf(stderr, "bgpload: session %d (AS%u) lost: %s\n", s->i, s->as, why);
    exit(3);
  }
  if (verbose) fprintf(stderr, "session %d closed in state %d: %s\n", s->i, s->state, why);
  if (s->fd >= 0) close(s->fd);
  s->fd = -1, s->state = s->dropped ? CLOSED : DOWN;
  s->retry_at = now_ns() + 250000000;
}

static void see_prefix(sess *s, u64 key, bool reach, bool attr_known, u64 vh, u64 t) {
  u32 i = pfx_find(key);
  if (i == ~0u) {
    if (npfx) s->unknown++;
    return;
  }
  if (!s->bits) return;
  if (s->g->sender && i - s->first < s->n) { s->echo++; return; } // our own route sent back to us (FRR update groups do that)
  u64 bit = 1ull << (i & 63), *w = &s->bits[i >> 6];
  if (reach) {
    if (verify_on && attr_known && vh != ag[pgid[i]].vh[cur_gen]) { s->bad++; return; }
    if (*w & bit) s->dup++;
    else *w |= bit, s->have++;
  } else {
    if (*w & bit) *w &= ~bit, s->have--;
    else s->dup++;
  }
  (void)t;
}
static const u8 *nlri_run(sess *s, const u8 *p, const u8 *e, bool v4, bool reach, u64 vh, u64 t) {
  while (p < e) {
    int l = *p++, nb = (l + 7) / 8;
    if (p + nb > e || l > (v4 ? 32 : 128)) die("malformed NLRI from the peer");
    u64 top = 0;
    for (int i = 0; i < nb && i < 8; i++) top |= (u64)p[i] << (56 - 8 * i);
    u64 key = v4 ? 1ull << 63 | (top >> 32 << 8) | l : (l > 56 ? ~0ull : top | l);
    p += nb;
    if (reach) s->rx_pfx++;
    else s->rx_wd++;
    see_prefix(s, key, reach, reach, vh, t);
  }
  return p;
}
static void on_update(sess *s, const u8 *m, const u8 *e, u64 t) {
  const u8 *p = m + 19;
  u16 wl = rd16(p);
  const u8 *w = p + 2, *we = w + wl;
  if (we + 2 > e) die("malformed UPDATE (withdrawn length)");
  const u8 *a = we + 2, *ae = a + rd16(we);
  if (ae > e) die("malformed UPDATE (attribute length)");
  s->rx_upd++;
  u32 path[64], comm[128];
  int np = 0, nc = 0;
  const u8 *mpr = NULL, *mpre = NULL, *mpu = NULL, *mpue = NULL;
  while (a < ae) {
    u8 fl = *a, ty = a[1];
    u32 l = fl & 0x10 ? rd16(a + 2) : a[2];
    a += fl & 0x10 ? 4 : 3;
    if (a + l > ae) die("malformed attribute");
    if (ty == 2) {
      for (const u8 *q = a; q + 2 <= a + l;) {
        int c = q[1];
        q += 2;
        for (int i = 0; i < c && np < 64; i++, q += 4) path[np++] = rd32(q);
      }
    } else if (ty == 8)
      for (u32 i = 0; i + 4 <= l && nc < 128; i += 4) comm[nc++] = rd32(a + i);
    else if (ty == 14) mpr = a, mpre = a + l;
    else if (ty == 15) mpu = a, mpue = a + l;
    a += l;
  }
  bool eor4 = !wl && ae == we + 2 && ae == e, eor6 = mpu && mpue - mpu == 3 && !mpr && ae == e;
  if (eor4 || eor6) { s->eor++; return; }
  if (!s->t_first) s->t_first = t;
  s->t_last = t;
  int skip = np && dutas && path[0] == dutas && s->as != dutas;
  u64 vh = vhash(path + skip, np - skip, comm, nc);
  nlri_run(s, w, we, true, false, 0, t);
  if (mpu && rd16(mpu) == 2) nlri_run(s, mpu + 3, mpue, false, false, 0, t);
  nlri_run(s, ae, e, true, true, vh, t);
  if (mpr && rd16(mpr) == 2) nlri_run(s, mpr + 5 + mpr[3], mpre, false, true, vh, t);
  if (s->bits && !s->t_full && s->have == s->expect) s->t_full = now_ns();
}
static void on_open(sess *s, const u8 *m, const u8 *e) {
  u16 hold = rd16(m + 22);
  u32 peeras = rd16(m + 20);
  bool as4 = false;
  const u8 *p = m + 29;
  while (p + 2 <= e) {
    if (p[0] == 2)
      for (const u8 *c = p + 2; c + 2 <= p + 2 + p[1]; c += 2 + c[1])
        if (c[0] == 65) as4 = true, peeras = rd32(c + 2);
    p += 2 + p[1];
  }
  if (!as4) die("the peer does not offer four-octet AS numbers");
  if (!dutas) dutas = peeras;
  if (hold > s->g->hold) hold = s->g->hold;
  s->peer_hold_ns = hold ? (u64)hold * 1000000000 : 0;
  s->next_ka = now_ns() + s->peer_hold_ns / 3;
  put_ka(s);
  s->state = OPENCONF;
}
static void on_readable(sess *s) {
  for (int spin = 0; spin < 2; spin++) {
    if (!s->ib) s->ib = xalloc(INBUF);
    ssize_t r = read(s->fd, s->ib + s->ilen, INBUF - s->ilen);
    if (r < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (r <= 0) { sess_closed(s, r ? strerror(errno) : "EOF"); return; }
    u64 t = now_ns();
    s->rx_bytes += r, s->ilen += r;
    size_t o = 0;
    while (s->ilen - o >= 19) {
      u8 *m = s->ib + o;
      u16 len = rd16(m + 16);
      if (len < 19 || len > 4096) die("bad message length %u", len);
      if (s->ilen - o < len) break;
      switch (m[18]) {
      case 1: on_open(s, m, m + len); break;
      case 2: on_update(s, m, m + len, t); break;
      case 3: {
        char why[64];
        snprintf(why, sizeof why, "NOTIFICATION %u/%u", m[19], m[20]);
        sess_closed(s, why);
        return;
      }
      case 4:
        if (s->state == OPENCONF) s->state = ESTAB, n_estab++;
        break;
      }
      o += len;
    }
    memmove(s->ib, s->ib + o, s->ilen -= o);
    if (s->ctllen) pump_out(s);
    if (r < 64 * 1024) return;
  }
}
void pump_out(sess *s) {
  if (s->state == CONNECTING) {
    int err = 0;
    socklen_t l = sizeof err;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &l);
    if (err) { sess_closed(s, strerror(err)); return; }
    put_open(s);
    s->state = OPENSENT;
  }
  bool midstream = s->tx && s->txpos && s->txpos < s->tx->len;
  if (s->ctllen && !midstream) {
    ssize_t r = write(s->fd, s->ctl, s->ctllen);
    if (r < 0) { if (errno != EAGAIN) sess_closed(s, strerror(errno)); return; }
    memmove(s->ctl, s->ctl + r, s->ctllen -= r);
    if (s->ctllen) { watch(s, true); return; }
  }
  if (s->tx && s->txpos < s->tx->len) {
    size_t n = s->tx->len - s->txpos;
    ssize_t r = write(s->fd, s->tx->b + s->txpos, n > CHUNK ? CHUNK : n);
    if (r < 0 && errno != EAGAIN) { sess_closed(s, strerror(errno)); return; }
    if (r > 0) s->txpos += r;
    if (s->txpos == s->tx->len) s->t_sent = now_ns();
  }
  bool w = s->ctllen || (s->tx && s->txpos < s->tx->len);
  if (w != s->want_w) watch(s, w);
}
void send_stream(sess *s, buf *b) {
  if (s->tx && s->txpos < s->tx->len) die("previous stream still pending");
  s->tx = b, s->txpos = 0, s->t_sent = 0;
  watch(s, true);
}
static void on_accept(int gi) {
  int fd = accept4(listen_fd[gi], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  for (u32 k = 0; k < grp[gi].k; k++) {
    sess *s = &ss[grp[gi].s0 + k];
    if (s->fd >= 0) continue;
    s->fd = fd;
    sock_opts(fd);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u32 = s->i};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    s->want_w = true, s->state = OPENSENT, s->ilen = s->ctllen = 0;
    put_open(s);
    return;
  }
  close(fd);
}
static void on_netlink(void) {
  static u8 b[1 << 18];
  for (;;) {
    ssize_t r = recv(nl_fd, b, sizeof b, MSG_DONTWAIT);
    if (r <= 0) return;
    u64 t = now_ns();
    for (struct nlmsghdr *h = (void *)b; NLMSG_OK(h, (size_t)r); h = NLMSG_NEXT(h, r)) {
      if (h->nlmsg_type != (lat_want_del ? RTM_DELROUTE : RTM_NEWROUTE) || lat_idx == ~0u) continue;
      struct rtmsg *m = NLMSG_DATA(h);
      int l = RTM_PAYLOAD(h);
      for (struct rtattr *a = RTM_RTA(m); RTA_OK(a, l); a = RTA_NEXT(a, l))
        if (a->rta_type == RTA_DST) {
          u64 key = m->rtm_family == AF_INET ? 1ull << 63 | (u64)rd32(RTA_DATA(a)) << 8 | m->rtm_dst_len
                                             : ((u64)rd32(RTA_DATA(a)) << 32 | rd32((u8 *)RTA_DATA(a) + 4)) | m->rtm_dst_len;
          if (key == pkey[lat_idx] && !lat_fib_t) lat_fib_t = t;
        }
    }
  }
}

// 10,000 of the shortest UPDATEs that announce something.
#define BURST_BYTES 400000

// One turn of the event loop; waits at most `wait_ms`.
void turn(int wait_ms) {
  struct epoll_event ev[64];
  static u64 next_tick;
  int n = epoll_wait(ep, ev, 64, wait_ms);
  for (int i = 0; i < n; i++) {
    u32 d = ev[i].data.u32;
    if (d == 0xffffffff) { on_netlink(); continue; }
    if (d >= 0x80000000) { on_accept(d & 0xff); continue; }
    sess *s = &ss[d];
    if (s->fd < 0) continue;
    if (ev[i].events & (EPOLLOUT | EPOLLERR)) pump_out(s);
    if (s->fd >= 0 && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && s->state != CONNECTING) on_readable(s);
  }
  u64 t = now_ns();
  if (t < next_tick) return;
  int pending = 0;
  for (int i = 0; ramp && i < nsess; i++) pending += ss[i].state == CONNECTING || ss[i].state == OPENSENT;
  next_tick = t + (n_estab < (u32)nsess ? 2000000 : 100000000);
  for (int i = 0; i < nsess; i++) {
    sess *s = &ss[i];
    if (s->state == DOWN && !s->later && !s->g->listen && t >= s->retry_at && (!ramp || pending < ramp)) start_connect(s), pending++;
    // FRR 10 leaves what is past 10,000 messages in its own buffer until it hears from us again: that wait is not its speed. All get the same.
    bool burst = s->tx && s->tx->len > BURST_BYTES && s->t_sent && t - s->t_sent < 10000000000ull;
    bool hurry = burst && t - s->last_ka > 200000000;
    if (s->state >= OPENCONF && s->fd >= 0 && s->peer_hold_ns && (t >= s->next_ka || hurry)) {
      s->next_ka = t + s->peer_hold_ns / 3;
      s->last_ka = t;
      if (!(s->tx && s->txpos < s->tx->len)) put_ka(s), pump_out(s);
    }
  }
}
