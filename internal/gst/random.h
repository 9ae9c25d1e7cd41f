//go:build gst

#ifndef GOVIDU_RANDOM_H
#define GOVIDU_RANDOM_H
#include "gst.h"

void gv_serve(gpointer src, guint64 size, uintptr_t handle);
guint64 gv_base_time(gpointer pipeline);
void gv_pts_from_dts(gpointer pad);
void gv_no_addresses(void);
int gv_settled(gpointer element, int state);
#endif
