//go:build gst

#include "gst.h"
#include "framestore.h"
#include <string.h>

// More frames than this are not held, whatever their time says.
enum { MOST = 64 };

// A store holds the decoded pictures of one input from the moment they come until
// no canvas can want them any more. The decoder's thread fills it and never waits.
struct gv_store {
	gint refs;
	guint64 base, keep;
	GMutex lock; // all below
	gv_frame *ring[MOST]; // in order of time
	int n;
	guint64 epoch; // counts jumps of the time line
	gint64 offset; // added to PTS
	GstCaps *caps;
	GstVideoInfo info;
};

gv_store *gv_store_new(guint64 base, guint64 keep) {
	gv_store *s = g_new0(gv_store, 1);
	g_mutex_init(&s->lock);
	s->refs = 1;
	s->base = base;
	s->keep = keep;
	return s;
}

gv_store *gv_store_ref(gv_store *s) {
	g_atomic_int_inc(&s->refs);
	return s;
}

static void drop(gv_store *s, int k) {
	for (int i = 0; i < k; i++)
		gv_frame_unref(s->ring[i]);
	s->n -= k;
	memmove(s->ring, s->ring + k, s->n * sizeof *s->ring);
}

void gv_store_unref(gv_store *s) {
	if (!g_atomic_int_dec_and_test(&s->refs))
		return;
	drop(s, s->n);
	gst_caps_replace(&s->caps, NULL);
	g_mutex_clear(&s->lock);
	g_free(s);
}

void gv_frame_unref(gv_frame *f) {
	if (!g_atomic_int_dec_and_test(&f->refs))
		return;
	gst_buffer_unref(f->buffer);
	g_free(f);
}

// put takes a picture over; the lock is held.
static void put(gv_store *s, gv_frame *f) {
	if (s->n > 0 && f->pts <= s->ring[s->n - 1]->pts) {
		// The source began its time anew: what it had said of later is void.
		s->epoch++;
		drop(s, s->n);
	}
	// The newest that may be wanted still, and what follows it, stay.
	gint64 old = (gint64)(gv_now() - s->base) - (gint64)s->keep - s->offset;
	int k = 0;
	while (k + 1 < s->n && s->ring[k + 1]->pts <= old)
		k++;
	if (s->n == MOST && k == 0)
		k = 1;
	drop(s, k);
	s->ring[s->n++] = f;
}

static GstFlowReturn on_picture(GstAppSink *sink, gpointer user) {
	gv_store *s = user;
	GstSample *x = gst_app_sink_try_pull_sample(sink, 0);
	if (!x)
		return GST_FLOW_OK;
	GstBuffer *b = gst_sample_get_buffer(x);
	GstCaps *caps = gst_sample_get_caps(x);
	GstSegment *seg = gst_sample_get_segment(x);
	guint64 t = b ? GST_BUFFER_PTS(b) : GST_CLOCK_TIME_NONE;
	if (GST_CLOCK_TIME_IS_VALID(t) && seg && seg->format == GST_FORMAT_TIME)
		t = gst_segment_to_running_time(seg, GST_FORMAT_TIME, t);
	if (b && caps && GST_CLOCK_TIME_IS_VALID(t)) {
		g_mutex_lock(&s->lock);
		int known = caps == s->caps;
		if (!known && gst_video_info_from_caps(&s->info, caps)) {
			gst_caps_replace(&s->caps, caps);
			known = 1;
		}
		if (known && GST_VIDEO_INFO_FORMAT(&s->info) == GST_VIDEO_FORMAT_I420) {
			gv_frame *f = g_new0(gv_frame, 1);
			f->refs = 1;
			f->buffer = gst_buffer_ref(b);
			f->info = s->info;
			f->pts = (gint64)t;
			put(s, f);
		}
		g_mutex_unlock(&s->lock);
	}
	gst_sample_unref(x);
	return GST_FLOW_OK;
}

// Decoders that know that lines may be of any length need not copy their pictures.
static GstPadProbeReturn on_query(GstPad *pad, GstPadProbeInfo *info, gpointer user) {
	(void)pad;
	(void)user;
	GstQuery *q = GST_PAD_PROBE_INFO_QUERY(info);
	if (GST_QUERY_TYPE(q) != GST_QUERY_ALLOCATION)
		return GST_PAD_PROBE_OK;
	gst_query_add_allocation_meta(q, GST_VIDEO_META_API_TYPE, NULL);
	return GST_PAD_PROBE_HANDLED;
}

static void release_store(gpointer s) { gv_store_unref(s); }

void gv_store_fill(gv_store *s, gpointer sink) {
	GstAppSinkCallbacks cb;
	memset(&cb, 0, sizeof cb);
	cb.new_sample = on_picture;
	gst_app_sink_set_callbacks(sink, &cb, gv_store_ref(s), release_store);
	GstPad *pad = gst_element_get_static_pad(sink, "sink");
	gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, on_query, NULL, NULL);
	gst_object_unref(pad);
}

void gv_store_offset(gv_store *s, gint64 offset) {
	g_mutex_lock(&s->lock);
	s->offset = offset;
	g_mutex_unlock(&s->lock);
}

int gv_store_held(gv_store *s) {
	g_mutex_lock(&s->lock);
	int n = s->n;
	g_mutex_unlock(&s->lock);
	return n;
}

// The frame nearest to the picture's time is the right one. Sources of the same
// rate whose phase is just between two pictures would now repeat a frame and now
// leave one out; so a cursor goes on by one as long as that is not more than an
// eighth of an interval beyond the half.
int gv_store_pick(gv_cursor *c, gint64 pts, gint64 interval) {
	gv_store *s = c->store;
	g_mutex_lock(&s->lock);
	gint64 at = pts - s->offset, half = interval / 2, most = half + interval / 8;
	int k = -1; // the frame to show; -1: as before
	if (!c->frame || c->epoch != s->epoch) {
		for (int i = 0; i < s->n && s->ring[i]->pts <= at + half; i++)
			k = i;
	} else {
		int next = 0;
		while (next < s->n && s->ring[next]->pts <= c->frame->pts)
			next++;
		if (next < s->n && s->ring[next]->pts <= at + most) {
			k = next;
			while (k + 1 < s->n && s->ring[k]->pts < at - most && s->ring[k + 1]->pts <= at + half)
				k++;
		}
	}
	if (k >= 0) {
		if (c->frame)
			gv_frame_unref(c->frame);
		c->frame = s->ring[k];
		g_atomic_int_inc(&c->frame->refs);
		c->epoch = s->epoch;
	}
	g_mutex_unlock(&s->lock);
	return k >= 0;
}
