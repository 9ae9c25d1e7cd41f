//go:build gst

#define _GNU_SOURCE
#include "outlet.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

// Written in Go (callbacks.go).
extern void goTap(uintptr_t handle);
extern void goRelease(uintptr_t handle);

enum { HEADER = 16, FRAGMENT = 48 << 10, LONGEST = 8 << 20 };
enum { KEY = 1, GAP = 2, MORE = 4 };

// How long a frame of several messages, already begun, may wait for room: its rest
// is worth more than the wait.
enum { PATIENCE_MS = 20 };

struct gv_outlet {
	gint refs;
	int fd, video;
	guint stream;
	guint64 base, delay;
	uintptr_t again; // asks for a keyframe; 0: nobody can
	gint dead, begun;
	// Of the one thread that sends.
	guint32 frame;
	int lost, waiting; // for a keyframe, after a frame that found no room
};

gv_outlet *gv_outlet_new(int fd, guint stream, int video, guint64 base, guint64 delay, uintptr_t again) {
	gv_outlet *o = g_new0(gv_outlet, 1);
	o->refs = 1;
	o->fd = fd;
	o->stream = stream;
	o->video = video;
	o->base = base;
	o->delay = delay;
	o->again = again;
	return o;
}

void gv_outlet_follow(gv_outlet *o, const gv_outlet *before) {
	o->frame = before->frame;
	o->lost = before->lost;
}

void gv_outlet_unref(gv_outlet *o) {
	if (!g_atomic_int_dec_and_test(&o->refs))
		return;
	if (o->again)
		goRelease(o->again);
	g_free(o);
}

void gv_outlet_close(gv_outlet *o) { g_atomic_int_set(&o->dead, 1); }

int gv_outlet_begun(gv_outlet *o) { return g_atomic_int_and((guint *)&o->begun, 0) != 0; }

static int send_one(int fd, struct msghdr *m, int wait) {
	for (;;) {
		if (sendmsg(fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 1;
		if (errno == EINTR)
			continue;
		if ((errno != EAGAIN && errno != ENOBUFS) || !wait)
			return 0;
		wait = 0;
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		poll(&p, 1, PATIENCE_MS);
	}
}

static void put32(guint8 *b, guint32 v) {
	for (int i = 0; i < 4; i++)
		b[i] = (guint8)(v >> (24 - 8 * i));
}

// send_frame sends a frame in one or more messages. It does not wait, but for a few
// milliseconds in the middle of a long frame. 0: the frame is lost.
static int send_frame(gv_outlet *o, guint8 flags, const guint8 *data, gsize size, guint64 pts) {
	guint8 head[HEADER] = {(guint8)(o->stream >> 8), (guint8)o->stream};
	put32(head + 4, o->frame);
	put32(head + 8, (guint32)(pts >> 32));
	put32(head + 12, (guint32)pts);
	struct iovec v[2] = {{head, HEADER}, {0}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	int several = size > FRAGMENT;
	for (;;) {
		gsize n = MIN(size, FRAGMENT);
		head[2] = n < size ? flags | MORE : flags;
		v[1] = (struct iovec){(void *)data, n};
		if (!send_one(o->fd, &m, several))
			return 0;
		data += n;
		size -= n;
		if (!size)
			return 1;
		head[3]++;
		flags &= ~GAP;
	}
}

void gv_outlet_send(gv_outlet *o, const void *data, gsize size, guint64 pts, int key) {
	g_atomic_int_set(&o->begun, 1);
	if (g_atomic_int_get(&o->dead) || size == 0 || size > LONGEST || (o->waiting && !key))
		return;
	int sent = send_frame(o, (key ? KEY : 0) | (o->lost ? GAP : 0), data, size, pts);
	o->frame++;
	o->lost = !sent;
	o->waiting = !sent && o->video;
	if (!sent && o->again)
		goTap(o->again);
}

static GstFlowReturn on_frame(GstAppSink *sink, gpointer user) {
	gv_outlet *o = user;
	GstSample *s = gst_app_sink_try_pull_sample(sink, 0);
	if (!s)
		return GST_FLOW_OK;
	GstBuffer *b = gst_sample_get_buffer(s);
	GstSegment *seg = gst_sample_get_segment(s);
	GstMapInfo m;
	guint64 t = b ? GST_BUFFER_PTS(b) : GST_CLOCK_TIME_NONE;
	if (GST_CLOCK_TIME_IS_VALID(t) && seg && seg->format == GST_FORMAT_TIME)
		t = gst_segment_to_running_time(seg, GST_FORMAT_TIME, t);
	if (GST_CLOCK_TIME_IS_VALID(t) && gst_buffer_map(b, &m, GST_MAP_READ)) {
		gv_outlet_send(o, m.data, m.size, o->base + t - o->delay, !GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_DELTA_UNIT));
		gst_buffer_unmap(b, &m);
	}
	gst_sample_unref(s);
	return GST_FLOW_OK;
}

static void release_outlet(gpointer o) { gv_outlet_unref(o); }

void gv_outlet_take(gv_outlet *o, gpointer appsink) {
	GstAppSinkCallbacks cb;
	memset(&cb, 0, sizeof cb);
	cb.new_sample = on_frame;
	g_atomic_int_inc(&o->refs);
	gst_app_sink_set_callbacks(appsink, &cb, o, release_outlet);
}
