//go:build gst

#ifndef GOVIDU_GST_H
#define GOVIDU_GST_H
#include <gst/gst.h>
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <stdint.h>

// Flags of a frame, the same in both directions.
enum { GV_KEY = 1, GV_DISCONT = 2, GV_HEADER = 4 };

// What a probe sees, and may answer.
typedef struct {
	int type;           // GstPadProbeType
	const char *name;   // an event's type, else NULL
	const char *detail; // name of an event's structure, else NULL
	guint64 pts, duration;
	int key;
} gv_probe;

// A tap counts what passes a pad, without Go.
typedef struct {
	guint64 buffers, bytes;
	guint64 last;     // monotonic ns of the latest buffer
	gint64 lateness;  // latest: now - base - PTS, ns
	gint width, height, rate, channels;
} gv_counts;
typedef struct gv_tap gv_tap;

// One message of a bus, flattened. Free it with gv_message_free.
typedef struct {
	const char *type;
	char *source, *path, *text, *debug, *structure;
	int code, domain; // domain: 1 core, 2 library, 3 resource, 4 stream
	int old_state, new_state, pending, percent;
	GstStructure *fields; // borrowed from msg
	GstMessage *msg;
} gv_message;

int gv_set(gpointer object, const char *name, const char *text, char **why);
char *gv_get(gpointer object, const char *name);
int gv_has_property(gpointer object, const char *name);

int gv_push(gpointer src, const void *data, gsize size, guint64 pts, guint64 duration, int flags, guint64 limit);
int gv_gap(gpointer src, guint64 pts, guint64 duration);
void gv_set_caps(gpointer element, const char *caps);
int gv_pull(gpointer sink, uintptr_t handle);
void gv_on_sample(gpointer sink, uintptr_t handle);

gulong gv_probe_add(gpointer pad, int mask, uintptr_t handle);
gulong gv_on_object(gpointer object, const char *signal, uintptr_t handle);
gulong gv_on_plain(gpointer object, const char *signal, uintptr_t handle);

gv_tap *gv_tap_new(gpointer pad, guint64 base, uintptr_t handle);
void gv_tap_read(gv_tap *t, gv_counts *out);
void gv_tap_arm(gv_tap *t);
void gv_tap_free(gv_tap *t);

int gv_force_key_unit(gpointer pad);
int gv_send_eos(gpointer pad_or_element, int is_element);
int gv_push_eos(gpointer pad);
char *gv_caps(gpointer pad);
int gv_seek(gpointer element, double rate, int flags, gint64 start, gint64 stop);
int gv_query_seeking(gpointer element, gint64 *start, gint64 *stop);
int gv_query_latency(gpointer element, int *live, guint64 *min, guint64 *max);

gv_message *gv_bus_pop(gpointer bus, guint64 timeout);
void gv_message_free(gv_message *m);
char *gv_field(GstStructure *s, int i, const char **name);
char *gv_dot(gpointer bin);
guint64 gv_now(void);
void gv_set_times(gpointer pipeline, guint64 base);
#endif
