//go:build gst

#define _GNU_SOURCE
#include "inlet.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

// Written in Go (inlet.go).
extern int goMessage(uintptr_t handle, void *data, gsize size);

enum { BATCH = 8, HEADER = 16, LONGEST = HEADER + (48 << 10) };
enum { KEY = 1, GAP = 2, MORE = 4 };

struct gv_route {
	GstElement *src;
	guint64 base, limit;
	int kind; // 0 sound, 1 Opus, 2 pictures, 3 pictures out of order
	gv_place_in_row at;
};

struct gv_inlet {
	GMutex lock; // the table and what is in it
	GHashTable *routes;
	gint pause; // ms
};

gv_route *gv_route_new(gpointer src, guint64 base, int kind, guint64 limit) {
	gv_route *r = g_new0(gv_route, 1);
	r->src = gst_object_ref(src);
	r->base = base;
	r->kind = kind;
	r->limit = limit;
	r->at.last = -1;
	return r;
}

void gv_route_free(gv_route *r) {
	gst_object_unref(r->src);
	g_free(r);
}

void gv_route_get(gv_route *r, gv_place_in_row *out) { *out = r->at; }

void gv_route_set(gv_route *r, const gv_place_in_row *in) { r->at = *in; }

gv_inlet *gv_inlet_new(void) {
	gv_inlet *in = g_new0(gv_inlet, 1);
	g_mutex_init(&in->lock);
	in->routes = g_hash_table_new(NULL, NULL);
	return in;
}

void gv_inlet_free(gv_inlet *in) {
	g_hash_table_unref(in->routes);
	g_mutex_clear(&in->lock);
	g_free(in);
}

void gv_inlet_add(gv_inlet *in, guint stream, gv_route *r) {
	g_mutex_lock(&in->lock);
	g_hash_table_insert(in->routes, GUINT_TO_POINTER(stream), r);
	g_mutex_unlock(&in->lock);
}

void gv_inlet_remove(gv_inlet *in, guint stream) {
	g_mutex_lock(&in->lock);
	g_hash_table_remove(in->routes, GUINT_TO_POINTER(stream));
	g_mutex_unlock(&in->lock);
}

void gv_inlet_pause(gv_inlet *in, int ms) { g_atomic_int_set(&in->pause, ms); }

static guint32 big32(const guint8 *b) { return (guint32)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]; }

// opus_duration is that of a packet (RFC 6716 section 3.1), in ns; 0 when unknown.
static guint64 opus_duration(const guint8 *b, gsize n) {
	static const guint16 tenths[32] = {100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 100, 200,
		25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200};
	int frames = 2;
	if ((b[0] & 3) == 0)
		frames = 1;
	else if ((b[0] & 3) == 3) {
		if (n < 2)
			return 0;
		frames = b[1] & 0x3f;
	}
	int all = tenths[b[0] >> 3] * frames;
	return all <= 1200 ? (guint64)all * 100 * GST_USECOND : 0;
}

// straight pushes a frame that came whole and in order; 0 leaves it to Go.
static int straight(gv_route *r, guint8 flags, guint32 frame, guint64 pts, const guint8 *data, gsize size) {
	gv_place_in_row *at = &r->at;
	int key = (flags & KEY) != 0, picture = r->kind >= 2;
	if (!at->straight || frame != at->frame + 1 || size == 0 || (picture && at->waiting))
		return 0;
	gint64 t = pts > r->base ? (gint64)(pts - r->base) : 0, last = t, step = at->step;
	guint64 duration = GST_CLOCK_TIME_NONE;
	if (picture) {
		gint64 d = t - at->last;
		if (at->last >= 0 && d >= 5 * GST_MSECOND && d <= 200 * GST_MSECOND)
			step = d;
		if (r->kind == 2)
			duration = step;
	} else {
		key = 1;
		guint64 d = r->kind == 1 ? opus_duration(data, size) : 0;
		if (d) {
			duration = d;
			last = t + d;
		}
	}
	if (gv_push(r->src, data, size, t, duration, key ? GV_KEY : 0, r->limit) != 0)
		return 0;
	at->frame = frame;
	at->last = last;
	at->step = step;
	return 1;
}

static int take(gv_inlet *in, const guint8 *b, gsize n) {
	if (n < HEADER || b[3] != 0 || (b[2] & (GAP | MORE)))
		return 0;
	guint stream = b[0] << 8 | b[1];
	guint64 pts = (guint64)big32(b + 8) << 32 | big32(b + 12);
	int done = 0;
	g_mutex_lock(&in->lock);
	gv_route *r = g_hash_table_lookup(in->routes, GUINT_TO_POINTER(stream));
	if (r)
		done = straight(r, b[2], big32(b + 4), pts, b + HEADER, n - HEADER);
	g_mutex_unlock(&in->lock);
	return done;
}

void gv_inlet_run(gv_inlet *in, int fd, uintptr_t handle) {
	struct mmsghdr m[BATCH];
	struct iovec v[BATCH];
	guint8 *memory = g_malloc(BATCH * LONGEST);
	memset(m, 0, sizeof m);
	for (int i = 0; i < BATCH; i++) {
		v[i].iov_base = memory + i * LONGEST;
		v[i].iov_len = LONGEST;
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		int n = recvmmsg(fd, m, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			if (m[i].msg_len == 0)
				goto out; // the other end is closed
			if (m[i].msg_hdr.msg_flags & MSG_TRUNC)
				continue;
			if (!take(in, v[i].iov_base, m[i].msg_len) && !goMessage(handle, v[i].iov_base, m[i].msg_len))
				goto out;
		}
		int pause = g_atomic_int_get(&in->pause);
		if (pause && n < BATCH)
			g_usleep((gulong)pause * 1000);
	}
out:
	g_free(memory);
}
