//go:build gst

#ifndef GOVIDU_PICTURE_H
#define GOVIDU_PICTURE_H
#include <gst/gst.h>

// Where a picture goes, in fractions of the frame.
typedef struct {
	gpointer picture; // GstBuffer
	double x, y, w, h;
	int keep, center;
} gv_place;

typedef struct gv_painter gv_painter;

gpointer gv_picture_new(const void *bgra, int width, int height);
void gv_picture_free(gpointer picture);
gv_painter *gv_painter_new(gpointer pad);
void gv_painter_set(gv_painter *p, const gv_place *places, int n);
void gv_painter_free(gv_painter *p);
#endif
