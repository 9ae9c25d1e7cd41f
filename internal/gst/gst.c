//go:build gst

#include "gst.h"
#include <string.h>

// Written in Go (callbacks.go).
extern int goSample(uintptr_t handle, void *data, gsize size, guint64 running, guint64 duration, int flags);
extern int goProbe(uintptr_t handle, gv_probe *p);
extern void goObject(uintptr_t handle, void *object);
extern void goTap(uintptr_t handle);
extern void goRelease(uintptr_t handle);

static void release(gpointer data) { goRelease((uintptr_t)data); }
static void release_closure(gpointer data, GClosure *c) { (void)c; goRelease((uintptr_t)data); }

guint64 gv_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (guint64)t.tv_sec * GST_SECOND + t.tv_nsec;
}

// 0 set, 1 no such property, 2 not writable, 3 not a value of it.
int gv_set(gpointer object, const char *name, const char *text, char **why) {
	GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(object), name);
	if (!spec)
		return 1;
	if (!(spec->flags & G_PARAM_WRITABLE) || (spec->flags & G_PARAM_CONSTRUCT_ONLY))
		return 2;
	GValue v = G_VALUE_INIT;
	g_value_init(&v, G_PARAM_SPEC_VALUE_TYPE(spec));
	if (!gst_value_deserialize_with_pspec(&v, text, spec)) {
		g_value_unset(&v);
		*why = g_strdup(g_type_name(G_PARAM_SPEC_VALUE_TYPE(spec)));
		return 3;
	}
	g_object_set_property(object, name, &v);
	g_value_unset(&v);
	return 0;
}

char *gv_get(gpointer object, const char *name) {
	GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(object), name);
	if (!spec || !(spec->flags & G_PARAM_READABLE))
		return NULL;
	GValue v = G_VALUE_INIT;
	g_value_init(&v, G_PARAM_SPEC_VALUE_TYPE(spec));
	g_object_get_property(object, name, &v);
	char *s = G_VALUE_HOLDS_STRING(&v) ? g_value_dup_string(&v) : gst_value_serialize(&v);
	g_value_unset(&v);
	return s;
}

int gv_has_property(gpointer object, const char *name) {
	return g_object_class_find_property(G_OBJECT_GET_CLASS(object), name) != NULL;
}

// 1: the queue holds limit buffers already, nothing was pushed. Otherwise minus a GstFlowReturn.
int gv_push(gpointer src, const void *data, gsize size, guint64 pts, guint64 duration, int flags, guint64 limit) {
	if (limit && gst_app_src_get_current_level_buffers(src) >= limit)
		return 1;
	GstBuffer *b = gst_buffer_new_allocate(NULL, size, NULL);
	if (!b)
		return 1;
	gst_buffer_fill(b, 0, data, size);
	GST_BUFFER_PTS(b) = pts;
	GST_BUFFER_DURATION(b) = duration;
	if (!(flags & GV_KEY))
		GST_BUFFER_FLAG_SET(b, GST_BUFFER_FLAG_DELTA_UNIT);
	if (flags & GV_DISCONT)
		GST_BUFFER_FLAG_SET(b, GST_BUFFER_FLAG_DISCONT);
	if (flags & GV_HEADER)
		GST_BUFFER_FLAG_SET(b, GST_BUFFER_FLAG_HEADER);
	return gst_app_src_push_buffer(src, b) == GST_FLOW_OK ? 0 : -1;
}

int gv_gap(gpointer src, guint64 pts, guint64 duration) {
	return gst_element_send_event(src, gst_event_new_gap(pts, duration));
}

void gv_set_caps(gpointer element, const char *text) {
	GstCaps *caps = gst_caps_from_string(text);
	if (!caps)
		return;
	g_object_set(element, "caps", caps, NULL);
	gst_caps_unref(caps);
}

// One sample to Go, if there is one. -1: there was none.
int gv_pull(gpointer sink, uintptr_t handle) {
	GstSample *s = gst_app_sink_try_pull_sample(sink, 0);
	if (!s)
		return -1;
	GstBuffer *b = gst_sample_get_buffer(s);
	GstSegment *seg = gst_sample_get_segment(s);
	GstMapInfo m;
	int ok = 1;
	if (b && gst_buffer_map(b, &m, GST_MAP_READ)) {
		guint64 t = GST_BUFFER_PTS(b);
		if (GST_CLOCK_TIME_IS_VALID(t) && seg && seg->format == GST_FORMAT_TIME)
			t = gst_segment_to_running_time(seg, GST_FORMAT_TIME, t);
		int flags = 0;
		if (!GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_DELTA_UNIT))
			flags |= GV_KEY;
		if (GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_DISCONT))
			flags |= GV_DISCONT;
		if (GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_HEADER))
			flags |= GV_HEADER;
		ok = goSample(handle, m.data, m.size, t, GST_BUFFER_DURATION(b), flags);
		gst_buffer_unmap(b, &m);
	}
	gst_sample_unref(s);
	return ok;
}

static GstFlowReturn on_sample(GstAppSink *sink, gpointer user) { return gv_pull(sink, (uintptr_t)user) == 0 ? GST_FLOW_EOS : GST_FLOW_OK; }

void gv_on_sample(gpointer sink, uintptr_t handle) {
	GstAppSinkCallbacks cb;
	memset(&cb, 0, sizeof cb);
	cb.new_sample = on_sample;
	gst_app_sink_set_callbacks(sink, &cb, (gpointer)handle, release);
}

static GstPadProbeReturn on_probe(GstPad *pad, GstPadProbeInfo *info, gpointer user) {
	(void)pad;
	gv_probe p = {.type = info->type, .pts = GST_CLOCK_TIME_NONE, .duration = GST_CLOCK_TIME_NONE};
	if (info->type & GST_PAD_PROBE_TYPE_EVENT_BOTH) {
		GstEvent *e = GST_PAD_PROBE_INFO_EVENT(info);
		p.name = GST_EVENT_TYPE_NAME(e);
		const GstStructure *s = gst_event_get_structure(e);
		p.detail = s ? gst_structure_get_name(s) : NULL;
	} else if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
		GstBuffer *b = GST_PAD_PROBE_INFO_BUFFER(info);
		p.pts = GST_BUFFER_PTS(b);
		p.duration = GST_BUFFER_DURATION(b);
		p.key = !GST_BUFFER_FLAG_IS_SET(b, GST_BUFFER_FLAG_DELTA_UNIT);
	}
	return goProbe((uintptr_t)user, &p);
}

gulong gv_probe_add(gpointer pad, int mask, uintptr_t handle) {
	return gst_pad_add_probe(pad, mask, on_probe, (gpointer)handle, release);
}

static void on_object(gpointer self, gpointer object, gpointer user) {
	(void)self;
	goObject((uintptr_t)user, object);
}

static void on_plain(gpointer self, gpointer user) {
	(void)self;
	goObject((uintptr_t)user, NULL);
}

gulong gv_on_object(gpointer object, const char *signal, uintptr_t handle) {
	return g_signal_connect_data(object, signal, G_CALLBACK(on_object), (gpointer)handle, release_closure, 0);
}

gulong gv_on_plain(gpointer object, const char *signal, uintptr_t handle) {
	return g_signal_connect_data(object, signal, G_CALLBACK(on_plain), (gpointer)handle, release_closure, 0);
}

struct gv_tap {
	GstPad *pad;
	gulong id;
	guint64 base;
	uintptr_t handle;
	gint refs, armed, freed;
	guint64 buffers, bytes, last;
	gint64 lateness;
	gint width, height, rate, channels;
};

static void tap_unref(gpointer data) {
	gv_tap *t = data;
	if (!g_atomic_int_dec_and_test(&t->refs))
		return;
	if (t->handle)
		goRelease(t->handle);
	g_free(t);
}

static void tap_tell(gv_tap *t) {
	if (t->handle && !g_atomic_int_get(&t->freed))
		goTap(t->handle);
}

#define STORE(f, v) __atomic_store_n(&t->f, (v), __ATOMIC_RELAXED)
#define LOAD(f) __atomic_load_n(&t->f, __ATOMIC_RELAXED)

static GstPadProbeReturn on_tap(GstPad *pad, GstPadProbeInfo *info, gpointer user) {
	(void)pad;
	gv_tap *t = user;
	if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
		GstEvent *e = GST_PAD_PROBE_INFO_EVENT(info);
		if (GST_EVENT_TYPE(e) != GST_EVENT_CAPS)
			return GST_PAD_PROBE_OK;
		GstCaps *caps;
		gst_event_parse_caps(e, &caps);
		if (!caps || gst_caps_is_empty(caps) || gst_caps_is_any(caps))
			return GST_PAD_PROBE_OK;
		GstStructure *s = gst_caps_get_structure(caps, 0);
		gint w = 0, h = 0, r = 0, c = 0;
		gst_structure_get_int(s, "width", &w);
		gst_structure_get_int(s, "height", &h);
		gst_structure_get_int(s, "rate", &r);
		gst_structure_get_int(s, "channels", &c);
		int changed = w != LOAD(width) || h != LOAD(height);
		STORE(width, w);
		STORE(height, h);
		STORE(rate, r);
		STORE(channels, c);
		if (changed && LOAD(buffers))
			g_atomic_int_set(&t->armed, 1);
		return GST_PAD_PROBE_OK;
	}
	GstBuffer *b = GST_PAD_PROBE_INFO_BUFFER(info);
	guint64 now = gv_now();
	STORE(buffers, LOAD(buffers) + 1);
	STORE(bytes, LOAD(bytes) + gst_buffer_get_size(b));
	STORE(last, now);
	if (GST_BUFFER_PTS_IS_VALID(b))
		STORE(lateness, (gint64)(now - t->base) - (gint64)GST_BUFFER_PTS(b));
	if (g_atomic_int_get(&t->armed) && g_atomic_int_compare_and_exchange(&t->armed, 1, 0))
		tap_tell(t);
	return GST_PAD_PROBE_OK;
}

gv_tap *gv_tap_new(gpointer pad, guint64 base, uintptr_t handle) {
	gv_tap *t = g_new0(gv_tap, 1);
	t->pad = gst_object_ref(pad);
	t->base = base;
	t->handle = handle;
	t->refs = 2;
	t->armed = 1;
	t->id = gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_tap, t, tap_unref);
	return t;
}

void gv_tap_read(gv_tap *t, gv_counts *out) {
	*out = (gv_counts){LOAD(buffers), LOAD(bytes), LOAD(last), LOAD(lateness), LOAD(width), LOAD(height), LOAD(rate), LOAD(channels)};
}

void gv_tap_arm(gv_tap *t) { g_atomic_int_set(&t->armed, 1); }

void gv_tap_free(gv_tap *t) {
	g_atomic_int_set(&t->freed, 1);
	gst_pad_remove_probe(t->pad, t->id);
	gst_clear_object(&t->pad);
	tap_unref(t);
}

// The event of gst_video_event_new_upstream_force_key_unit, without libgstvideo.
int gv_force_key_unit(gpointer pad) {
	static gint count;
	return gst_pad_send_event(pad, gst_event_new_custom(GST_EVENT_CUSTOM_UPSTREAM,
		gst_structure_new("GstForceKeyUnit", "running-time", GST_TYPE_CLOCK_TIME, GST_CLOCK_TIME_NONE,
			"all-headers", G_TYPE_BOOLEAN, TRUE, "count", G_TYPE_UINT, (guint)g_atomic_int_add(&count, 1), NULL)));
}

int gv_send_eos(gpointer o, int is_element) {
	return is_element ? gst_element_send_event(o, gst_event_new_eos()) : gst_pad_send_event(o, gst_event_new_eos());
}

int gv_push_eos(gpointer pad) { return gst_pad_push_event(pad, gst_event_new_eos()); }

char *gv_caps(gpointer pad) {
	GstCaps *c = gst_pad_get_current_caps(pad);
	if (!c)
		return NULL;
	char *s = gst_caps_to_string(c);
	gst_caps_unref(c);
	return s;
}

int gv_seek(gpointer e, double rate, int flags, gint64 start, gint64 stop) {
	return gst_element_seek(e, rate, GST_FORMAT_TIME, flags, start < 0 ? GST_SEEK_TYPE_NONE : GST_SEEK_TYPE_SET, start < 0 ? 0 : start,
		stop < 0 ? GST_SEEK_TYPE_NONE : GST_SEEK_TYPE_SET, stop < 0 ? -1 : stop);
}

int gv_query_seeking(gpointer e, gint64 *start, gint64 *stop) {
	gboolean can = FALSE;
	GstQuery *q = gst_query_new_seeking(GST_FORMAT_TIME);
	if (gst_element_query(e, q))
		gst_query_parse_seeking(q, NULL, &can, start, stop);
	gst_query_unref(q);
	return can;
}

int gv_query_latency(gpointer e, int *live, guint64 *min, guint64 *max) {
	gboolean l = FALSE;
	GstQuery *q = gst_query_new_latency();
	int ok = gst_element_query(e, q);
	if (ok)
		gst_query_parse_latency(q, &l, min, max);
	*live = l;
	gst_query_unref(q);
	return ok;
}

gv_message *gv_bus_pop(gpointer bus, guint64 timeout) {
	GstMessage *m = gst_bus_timed_pop_filtered(bus, timeout,
		GST_MESSAGE_ERROR | GST_MESSAGE_WARNING | GST_MESSAGE_EOS | GST_MESSAGE_ELEMENT | GST_MESSAGE_BUFFERING | GST_MESSAGE_STATE_CHANGED |
			GST_MESSAGE_ASYNC_DONE | GST_MESSAGE_LATENCY | GST_MESSAGE_DURATION_CHANGED | GST_MESSAGE_TAG | GST_MESSAGE_CLOCK_LOST | GST_MESSAGE_APPLICATION);
	if (!m)
		return NULL;
	gv_message *g = g_new0(gv_message, 1);
	g->msg = m;
	g->type = GST_MESSAGE_TYPE_NAME(m);
	g->source = GST_MESSAGE_SRC(m) ? gst_object_get_name(GST_MESSAGE_SRC(m)) : NULL;
	g->path = GST_MESSAGE_SRC(m) ? gst_object_get_path_string(GST_MESSAGE_SRC(m)) : NULL;
	GError *err = NULL;
	switch (GST_MESSAGE_TYPE(m)) {
	case GST_MESSAGE_ERROR:
		gst_message_parse_error(m, &err, &g->debug);
		break;
	case GST_MESSAGE_WARNING:
		gst_message_parse_warning(m, &err, &g->debug);
		break;
	case GST_MESSAGE_BUFFERING:
		gst_message_parse_buffering(m, &g->percent);
		break;
	case GST_MESSAGE_STATE_CHANGED: {
		GstState a, b, c;
		gst_message_parse_state_changed(m, &a, &b, &c);
		g->old_state = a;
		g->new_state = b;
		g->pending = c;
		break;
	}
	case GST_MESSAGE_ELEMENT:
	case GST_MESSAGE_APPLICATION:
		g->fields = (GstStructure *)gst_message_get_structure(m);
		if (g->fields)
			g->structure = g_strdup(gst_structure_get_name(g->fields));
		break;
	default:
		break;
	}
	if (err) {
		g->text = g_strdup(err->message);
		g->code = err->code;
		g->domain = err->domain == GST_CORE_ERROR ? 1 : err->domain == GST_LIBRARY_ERROR ? 2 : err->domain == GST_RESOURCE_ERROR ? 3 : err->domain == GST_STREAM_ERROR ? 4 : 0;
		g_error_free(err);
	}
	return g;
}

void gv_message_free(gv_message *m) {
	gst_message_unref(m->msg);
	g_free(m->source);
	g_free(m->path);
	g_free(m->text);
	g_free(m->debug);
	g_free(m->structure);
	g_free(m);
}

char *gv_field(GstStructure *s, int i, const char **name) {
	if (i >= gst_structure_n_fields(s))
		return NULL;
	*name = gst_structure_nth_field_name(s, i);
	const GValue *v = gst_structure_get_value(s, *name);
	char *text = G_VALUE_HOLDS_STRING(v) ? g_value_dup_string(v) : gst_value_serialize(v);
	return text ? text : g_strdup("");
}

char *gv_dot(gpointer bin) { return gst_debug_bin_to_dot_data(bin, GST_DEBUG_GRAPH_SHOW_MEDIA_TYPE | GST_DEBUG_GRAPH_SHOW_CAPS_DETAILS | GST_DEBUG_GRAPH_SHOW_NON_DEFAULT_PARAMS | GST_DEBUG_GRAPH_SHOW_STATES); }

void gv_set_times(gpointer pipeline, guint64 base) {
	GstClock *clock = gst_system_clock_obtain();
	gst_pipeline_use_clock(pipeline, clock);
	gst_object_unref(clock);
	gst_element_set_start_time(pipeline, GST_CLOCK_TIME_NONE);
	gst_element_set_base_time(pipeline, base);
}
