//go:build gst

#include "picture.h"
#include <gst/video/video.h>
#include <string.h>

// A painter blends pictures into the frames that pass a pad, on the thread that
// they pass on. The rectangles keep their scaled and converted pixels, so that a
// frame costs the blending only.
struct gv_painter {
	GstPad *pad;
	gulong id;
	gint refs;
	GMutex lock; // all below
	GstVideoInfo info;
	int ready, n;
	gv_place *places;
	GstVideoOverlayComposition *comp;
};

gpointer gv_picture_new(const void *bgra, int width, int height) {
	gsize size = (gsize)width * height * 4;
	GstBuffer *b = gst_buffer_new_allocate(NULL, size, NULL);
	if (!b)
		return NULL;
	gst_buffer_fill(b, 0, bgra, size);
	gst_buffer_add_video_meta(b, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, width, height);
	return b;
}

void gv_picture_free(gpointer picture) { gst_buffer_unref(picture); }

static void forget(gv_painter *p) {
	for (int i = 0; i < p->n; i++)
		gst_buffer_unref(p->places[i].picture);
	g_free(p->places);
	p->places = NULL;
	p->n = 0;
	if (p->comp)
		gst_video_overlay_composition_unref(p->comp);
	p->comp = NULL;
}

static void painter_unref(gpointer data) {
	gv_painter *p = data;
	if (!g_atomic_int_dec_and_test(&p->refs))
		return;
	forget(p);
	g_mutex_clear(&p->lock);
	g_free(p);
}

// Larger than this nothing is scaled: it would be memory for nobody to see.
#define MOST 8192

// compose makes the rectangles of the present places and frame size; locked.
static void compose(gv_painter *p) {
	if (p->comp)
		gst_video_overlay_composition_unref(p->comp);
	p->comp = NULL;
	if (!p->ready)
		return;
	double fw = p->info.width, fh = p->info.height;
	for (int i = 0; i < p->n; i++) {
		gv_place *q = &p->places[i];
		GstVideoMeta *m = gst_buffer_get_video_meta(q->picture);
		double x = q->x * fw, y = q->y * fh, w = q->w * fw, h = q->h * fh;
		if (q->keep) {
			double s = MIN(w / m->width, h / m->height), nw = m->width * s, nh = m->height * s;
			if (q->center) {
				x += (w - nw) / 2;
				y += (h - nh) / 2;
			}
			w = nw;
			h = nh;
		}
		if (!(w >= 1 && h >= 1 && w <= MOST && h <= MOST && x > -MOST && y > -MOST && x < fw && y < fh && x + w > 0 && y + h > 0))
			continue;
		GstVideoOverlayRectangle *r = gst_video_overlay_rectangle_new_raw(q->picture, (gint)(x + (x < 0 ? -.5 : .5)), (gint)(y + (y < 0 ? -.5 : .5)),
			(guint)(w + .5), (guint)(h + .5), GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE);
		if (!r)
			continue;
		if (!p->comp)
			p->comp = gst_video_overlay_composition_new(r);
		else
			gst_video_overlay_composition_add_rectangle(p->comp, r);
		gst_video_overlay_rectangle_unref(r);
	}
}

static GstPadProbeReturn on_paint(GstPad *pad, GstPadProbeInfo *info, gpointer user) {
	(void)pad;
	gv_painter *p = user;
	if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
		GstEvent *e = GST_PAD_PROBE_INFO_EVENT(info);
		if (GST_EVENT_TYPE(e) == GST_EVENT_CAPS) {
			GstCaps *caps;
			gst_event_parse_caps(e, &caps);
			g_mutex_lock(&p->lock);
			p->ready = gst_video_info_from_caps(&p->info, caps);
			compose(p);
			g_mutex_unlock(&p->lock);
		}
		return GST_PAD_PROBE_OK;
	}
	g_mutex_lock(&p->lock);
	GstVideoOverlayComposition *comp = p->comp ? gst_video_overlay_composition_ref(p->comp) : NULL;
	GstVideoInfo vi = p->info;
	g_mutex_unlock(&p->lock);
	if (!comp)
		return GST_PAD_PROBE_OK;
	// A decoder may still read its frame: then this copies it.
	GstBuffer *b = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
	GST_PAD_PROBE_INFO_DATA(info) = b;
	GstVideoFrame f;
	if (gst_video_frame_map(&f, &vi, b, GST_MAP_READWRITE)) {
		gst_video_overlay_composition_blend(comp, &f);
		gst_video_frame_unmap(&f);
	}
	gst_video_overlay_composition_unref(comp);
	return GST_PAD_PROBE_OK;
}

gv_painter *gv_painter_new(gpointer pad) {
	gv_painter *p = g_new0(gv_painter, 1);
	g_mutex_init(&p->lock);
	p->refs = 2;
	p->pad = gst_object_ref(pad);
	GstCaps *caps = gst_pad_get_current_caps(pad);
	if (caps) {
		p->ready = gst_video_info_from_caps(&p->info, caps);
		gst_caps_unref(caps);
	}
	p->id = gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_paint, p, painter_unref);
	return p;
}

void gv_painter_set(gv_painter *p, const gv_place *places, int n) {
	g_mutex_lock(&p->lock);
	gv_place *copy = n > 0 ? g_memdup2(places, n * sizeof *places) : NULL;
	for (int i = 0; i < n; i++)
		gst_buffer_ref(copy[i].picture);
	forget(p);
	p->places = copy;
	p->n = n;
	compose(p);
	g_mutex_unlock(&p->lock);
}

void gv_painter_free(gv_painter *p) {
	gst_pad_remove_probe(p->pad, p->id);
	gst_clear_object(&p->pad);
	painter_unref(p);
}
