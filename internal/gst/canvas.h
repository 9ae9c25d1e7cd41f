//go:build gst

#ifndef GOVIDU_CANVAS_H
#define GOVIDU_CANVAS_H
#include "framestore.h"

// An image in I420 with alpha, or without (a is NULL). Sides are even.
typedef struct gv_image gv_image;

// A layer shows a store's frames, or an image in its own size. x, y, w and h are
// even; of an image all lies within the canvas.
typedef struct {
	gv_store *store;
	gv_image *image;
	int x, y, w, h, cover;
} gv_layer;

typedef struct {
	guint64 drawn, repeated, passed, refused;
} gv_drawings;

typedef struct gv_canvas gv_canvas;

gv_image *gv_image_new(int w, int h, const void *y, const void *u, const void *v, const void *a, const void *ac);
void gv_image_unref(gv_image *m);

gv_canvas *gv_canvas_new(gpointer appsrc, int width, int height, int rate);
void gv_canvas_set(gv_canvas *c, gv_image *base, const gv_layer *layers, int n);
int gv_canvas_draw(gv_canvas *c, guint64 pts, guint64 duration, guint64 limit);
void gv_canvas_counts(gv_canvas *c, gv_drawings *out);
void gv_canvas_start(gv_canvas *c, guint64 base, guint64 latency, guint64 limit);
void gv_canvas_busy(gv_canvas *c, int busy);
void gv_canvas_free(gv_canvas *c);
#endif
