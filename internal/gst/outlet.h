//go:build gst

#ifndef GOVIDU_OUTLET_H
#define GOVIDU_OUTLET_H
#include "gst.h"

typedef struct gv_outlet gv_outlet;

gv_outlet *gv_outlet_new(int fd, guint stream, int video, guint64 base, guint64 delay, uintptr_t again);
void gv_outlet_follow(gv_outlet *o, const gv_outlet *before);
void gv_outlet_take(gv_outlet *o, gpointer appsink);
void gv_outlet_send(gv_outlet *o, const void *data, gsize size, guint64 pts, int key);
int gv_outlet_begun(gv_outlet *o);
void gv_outlet_close(gv_outlet *o);
void gv_outlet_unref(gv_outlet *o);
#endif
