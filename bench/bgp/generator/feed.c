// The prefixes and attributes of a run, and their UPDATEs.
//
// Everything follows from the seed, so a receiver knows the exact set it must see and the AS_PATH and communities each prefix must
// carry: no speaker wins by losing or mangling routes. Prefix lengths are spread as on the Internet, attribute sets are shared by a
// power-law number of prefixes (mean 5.2, at most 500), and the sets are sent in shuffled order.
#include "load.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

u64 *pkey;    // lookup key of every prefix: v4: bit63|addr<<8|len, v6: hi64|len
u32 *pgid;    // attribute group of every prefix
u32 npfx, ngid;
agrp *ag;
static u32 agcap;

static u64 *hkey;
static u32 *hidx, hmask;

u32 pfx_find(u64 key) {
  for (u32 h = (u32)(mix64(key)) & hmask;; h = (h + 1) & hmask) {
    if (hkey[h] == key) return hidx[h];
    if (!hkey[h]) return ~0u;
  }
}

static int len4(u64 *s) { // per mille, roughly today's DFZ
  u32 r = rnd(s, 1000);
  return r < 600 ? 24 : r < 710 ? 23 : r < 840 ? 22 : r < 900 ? 21 : r < 950 ? 20 : r < 980 ? 19 : r < 992 ? 18 : r < 997 ? 17 : 16;
}
static int len6(u64 *s) {
  u32 r = rnd(s, 1000);
  return r < 500 ? 48 : r < 600 ? 44 : r < 720 ? 40 : r < 770 ? 36 : r < 900 ? 32 : r < 930 ? 47 : r < 960 ? 46 : 29;
}

static u64 cur4 = 1ull << 24, cur6 = 0x2001ull << 48;
static u64 next_prefix(int af, int dist, u64 *s) {
  if (af == 4) {
    int l = dist ? dist : len4(s);
    u64 sz = 1ull << (32 - l);
    for (;;) {
      cur4 = (cur4 + sz - 1) & ~(sz - 1);
      u32 a = cur4 >> 24;
      if (a == 10 || a == 127) { cur4 = (u64)(a + 1) << 24; continue; }
      if (a >= 224) die("IPv4 space exhausted: too many prefixes");
      break;
    }
    u64 k = 1ull << 63 | cur4 << 8 | l;
    cur4 += sz;
    return k;
  }
  int l = dist ? dist : len6(s);
  if (l > 56) l = 56;
  u64 sz = 1ull << (64 - l);
  cur6 = (cur6 + sz - 1) & ~(sz - 1);
  if (cur6 >> 61 != 1) die("IPv6 space exhausted: too many prefixes");
  u64 k = cur6 | l;
  cur6 += sz;
  return k;
}

static u32 some_as(u64 *s) {
  u32 a = 2000 + rnd(s, 380000);
  if (a >= 64000 && a < 66000) a += 4000;
  if (a == 23456) a++;
  return a;
}

// What a prefix's attributes look like, from (seed, group, generation) alone.
typedef struct { u8 origin; bool has_med; u32 med; int npath, ncomm, nlcomm; u32 path[8], comm[10], lcomm[9]; } attrs;

static int cmp32(const void *a, const void *b) {
  u32 x = *(u32 *)a, y = *(u32 *)b;
  return x < y ? -1 : x > y;
}
static void gen_attrs(attrs *a, u32 aseed, u32 peer_as, int gen) {
  u64 s = mix64(seed * 77 + gen * 1000003ull) ^ ((u64)aseed << 20);
  rng(&s);
  a->origin = rnd(&s, 10) ? 0 : 2;
  a->npath = 3 + rnd(&s, 4);
  a->path[0] = peer_as;
  for (int i = 1; i < a->npath - 1; i++) a->path[i] = 1000 + 37 * rnd(&s, 40) + i;
  a->path[a->npath - 1] = some_as(&s);
  a->has_med = rnd(&s, 5) == 0;
  a->med = rnd(&s, 1000);
  a->ncomm = rnd(&s, 10) < 3 ? 0 : 1 + rnd(&s, 8);
  u32 c16 = 1000 + rnd(&s, 40000);
  for (int i = 0; i < a->ncomm; i++) a->comm[i] = (c16 + i) << 16 | (1 + rnd(&s, 9999));
  qsort(a->comm, a->ncomm, 4, cmp32);
  a->nlcomm = rnd(&s, 10) ? 0 : 1 + rnd(&s, 3);
  for (int i = 0; i < a->nlcomm; i++) a->lcomm[3 * i] = a->path[1], a->lcomm[3 * i + 1] = i, a->lcomm[3 * i + 2] = rnd(&s, 99999);
}
u64 vhash(const u32 *path, int np, const u32 *comm, int nc) {
  u64 h = 0x1234567;
  for (int i = 0; i < np; i++) h = mix64(h ^ path[i]);
  for (int i = 0; i < nc; i++) h += mix64(comm[i] + 0x5555ull); // order does not matter
  return h;
}
static u64 attrs_vhash(const attrs *a) { return vhash(a->path, a->npath, a->comm, a->ncomm); }

static void gen_slice(group *g, u32 first, u32 n, u32 peer_as, u64 *s) {
  for (u32 i = 0; i < n;) {
    u32 c;
    if (g->share > 0) c = (u32)g->share;
    else {
      double u = pow(rndf(s), -1.0 / alpha);
      c = u > maxgroup ? maxgroup : (u32)u;
    }
    if (c < 1) c = 1;
    if (c > n - i) c = n - i;
    if (ngid == agcap) {
      agcap = agcap ? agcap * 2 : 1024;
      ag = realloc(ag, agcap * sizeof *ag);
    }
    agrp *x = &ag[ngid];
    x->first = first + i, x->cnt = c, x->peer_as = peer_as, x->aseed = ngid;
    for (int gen = 0; gen < 2; gen++) {
      attrs a;
      gen_attrs(&a, x->aseed, peer_as, gen);
      x->vh[gen] = attrs_vhash(&a);
    }
    for (u32 j = 0; j < c; j++) {
      pkey[first + i + j] = next_prefix(g->af, g->dist, s);
      pgid[first + i + j] = ngid;
    }
    ngid++, i += c;
  }
}

void generate(void) {
  u64 s = mix64(seed);
  for (int i = 0; i < ngrp; i++)
    if (grp[i].sender) {
      grp[i].first = npfx;
      grp[i].total = grp[i].same ? grp[i].n : grp[i].n * grp[i].k;
      npfx += grp[i].total;
    }
  pkey = xalloc(8ull * npfx), pgid = xalloc(4ull * npfx);
  for (int i = 0; i < ngrp; i++)
    if (grp[i].sender) {
      group *g = &grp[i];
      u32 np = g->same ? 1 : g->k;
      for (u32 p = 0; p < np; p++) gen_slice(g, g->first + p * g->n, g->n, g->as + p * g->asstep, &s);
    }
  u32 cap = 1024;
  while (cap < npfx * 2) cap *= 2;
  hkey = xalloc(8ull * cap), hidx = xalloc(4ull * cap), hmask = cap - 1;
  for (u32 i = 0; i < npfx; i++) {
    u32 h = (u32)mix64(pkey[i]) & hmask;
    while (hkey[h]) h = (h + 1) & hmask;
    hkey[h] = pkey[i], hidx[h] = i;
  }
}

// ---- UPDATEs

u8 *put_hdr(u8 *p, u16 len, u8 type) {
  memset(p, 0xff, 16);
  wr16(p + 16, len);
  p[18] = type;
  return p + 19;
}
static int plen_of(u64 key) { return key >> 63 ? (int)(key & 63) : (int)(key & 127); }
static u8 *put_nlri(u8 *p, u64 key) {
  int l = plen_of(key), nb = (l + 7) / 8;
  u64 top = key >> 63 ? (key & 0x7fffffffffffffffull) >> 8 << 32 : key & ~127ull;
  *p++ = l;
  for (int i = 0; i < nb; i++) *p++ = top >> (56 - 8 * i);
  return p;
}
static u8 *put_attrs(u8 *p, const attrs *a, const group *g, bool v4) {
  *p++ = 0x40, *p++ = 1, *p++ = 1, *p++ = a->origin;
  *p++ = 0x40, *p++ = 2, *p++ = 2 + 4 * a->npath, *p++ = 2, *p++ = a->npath;
  for (int i = 0; i < a->npath; i++, p += 4) wr32(p, a->path[i]);
  if (v4) *p++ = 0x40, *p++ = 3, *p++ = 4, memcpy(p, &g->nh4, 4), p += 4;
  if (a->has_med) *p++ = 0x80, *p++ = 4, *p++ = 4, wr32(p, a->med), p += 4;
  if (a->ncomm) {
    *p++ = 0xc0, *p++ = 8, *p++ = 4 * a->ncomm;
    for (int i = 0; i < a->ncomm; i++, p += 4) wr32(p, a->comm[i]);
  }
  if (a->nlcomm) {
    *p++ = 0xc0, *p++ = 32, *p++ = 12 * a->nlcomm;
    for (int i = 0; i < 3 * a->nlcomm; i++, p += 4) wr32(p, a->lcomm[i]);
  }
  return p;
}

static u8 *room(buf *b, size_t n) {
  if (b->len + n > b->cap) {
    b->cap = (b->cap ? b->cap * 2 : 1 << 16);
    while (b->cap < b->len + n) b->cap *= 2;
    b->b = realloc(b->b, b->cap);
    if (!b->b) die("out of memory");
  }
  return b->b + b->len;
}

// UPDATEs announcing `cnt` prefixes from index i (all of one attribute group).
void emit_announce(buf *b, const group *g, u32 i, u32 cnt, u32 peer_as, int gen) {
  attrs a;
  agrp *x = &ag[pgid[i]];
  gen_attrs(&a, x->aseed, peer_as, gen);
  bool v4 = pkey[i] >> 63;
  while (cnt) {
    u8 *m = room(b, MAXMSG), *p = m + 21, *at = p + 2, *mp = NULL;
    p = put_attrs(at, &a, g, v4);
    if (!v4) { // MP_REACH_NLRI last, extended length
      *p++ = 0x90, *p++ = 14, mp = p, p += 2;
      wr16(p, 2), p[2] = 1, p[3] = 16, memcpy(p + 4, &g->nh6, 16), p[20] = 0, p += 21;
    } else wr16(m + 21, p - at);
    while (cnt && p - m + 17 <= MAXMSG) p = put_nlri(p, pkey[i++]), cnt--;
    if (!v4) wr16(mp, p - mp - 2), wr16(m + 21, p - at);
    wr16(m + 19, 0);
    put_hdr(m, p - m, 2);
    b->len += p - m;
  }
}
void emit_withdraw(buf *b, u32 i, u32 cnt) {
  bool v4 = pkey[i] >> 63;
  while (cnt) {
    u8 *m = room(b, MAXMSG), *p = m + 21;
    if (!v4) p += 2 + 4 + 3; // attr length, attr header, afi/safi
    while (cnt && p - m + 17 + 2 <= MAXMSG) p = put_nlri(p, pkey[i++]), cnt--;
    if (v4) wr16(m + 19, p - m - 21), wr16(p, 0), p += 2;
    else {
      wr16(m + 19, 0), wr16(m + 21, p - m - 23);
      m[23] = 0x90, m[24] = 15, wr16(m + 25, p - m - 27), wr16(m + 27, 2), m[29] = 1;
    }
    put_hdr(m, p - m, 2);
    b->len += p - m;
  }
}
static void emit_eor(buf *b, bool v4) {
  u8 *m = room(b, 64);
  u16 len = v4 ? 23 : 30;
  put_hdr(m, len, 2);
  memset(m + 19, 0, 4);
  if (!v4) wr16(m + 21, 7), m[23] = 0x90, m[24] = 15, wr16(m + 25, 3), wr16(m + 27, 2), m[29] = 1;
  b->len += len;
}

void build_announce(buf *b, const group *g, u32 first, u32 n, u32 peer_as, int gen) {
  u32 g0 = pgid[first], g1 = pgid[first + n - 1] + 1, ng = g1 - g0;
  u32 *ord = xalloc(4ull * ng);
  for (u32 i = 0; i < ng; i++) ord[i] = g0 + i;
  u64 s = mix64(seed + 99 + first);
  if (!noorder)
    for (u32 i = ng - 1; i > 0; i--) {
      u32 j = rnd(&s, i + 1), t = ord[i];
      ord[i] = ord[j], ord[j] = t;
    }
  for (u32 i = 0; i < ng; i++) emit_announce(b, g, ag[ord[i]].first, ag[ord[i]].cnt, peer_as, gen);
  emit_eor(b, g->af == 4);
  free(ord);
}
