//go:build gst

#ifndef GOVIDU_FRAMESTORE_H
#define GOVIDU_FRAMESTORE_H
#include <gst/gst.h>
#include <gst/video/video.h>

// A decoded picture. It never changes and is shared by who shows it.
typedef struct {
	gint refs;
	GstBuffer *buffer;
	GstVideoInfo info;
	gint64 pts; // running time
} gv_frame;

typedef struct gv_store gv_store;

// Where a canvas stands in a store.
typedef struct {
	gv_store *store;
	gv_frame *frame; // shown; NULL before there is one
	guint64 epoch;
} gv_cursor;

gv_store *gv_store_new(guint64 base, guint64 keep);
gv_store *gv_store_ref(gv_store *s);
void gv_store_unref(gv_store *s);
void gv_store_fill(gv_store *s, gpointer appsink);
void gv_store_offset(gv_store *s, gint64 offset);
int gv_store_held(gv_store *s);

// Moves a cursor to the frame for an output picture at a time; 1: another one.
int gv_store_pick(gv_cursor *c, gint64 pts, gint64 interval);
void gv_frame_unref(gv_frame *f);
#endif
