//go:build gst

#ifndef GOVIDU_INLET_H
#define GOVIDU_INLET_H
#include "gst.h"

// Where a row of frames stands.
typedef struct {
	int straight; // nothing is open, nothing is lost: the next whole frame can be pushed
	int waiting;  // for a keyframe
	guint32 frame; // number of the latest
	gint64 last, step; // ns of running time; last -1 is none yet
} gv_place_in_row;

typedef struct gv_route gv_route;
typedef struct gv_inlet gv_inlet;

gv_route *gv_route_new(gpointer src, guint64 base, int kind, guint64 limit);
void gv_route_free(gv_route *r);
void gv_route_get(gv_route *r, gv_place_in_row *out);
void gv_route_set(gv_route *r, const gv_place_in_row *in);

gv_inlet *gv_inlet_new(void);
void gv_inlet_free(gv_inlet *in);
void gv_inlet_add(gv_inlet *in, guint stream, gv_route *r);
void gv_inlet_remove(gv_inlet *in, guint stream);
void gv_inlet_pause(gv_inlet *in, int ms);
void gv_inlet_run(gv_inlet *in, int fd, uintptr_t handle);
#endif
