//go:build gst

#include "random.h"
#include <string.h>

// Written in Go (random.go): fills data with what lies at offset and gives how
// many bytes, fewer than size at the end only, or -1.
extern gint64 goRead(uintptr_t handle, guint64 offset, void *data, gsize size);
extern void goRelease(uintptr_t handle);

typedef struct {
	uintptr_t handle;
	guint64 at;
} reader;

// What a demuxer asks for at once; a file that makes it ask for more is broken.
enum { MOST = 64 << 20, USUAL = 64 << 10 };

static void need(GstAppSrc *src, guint length, gpointer user) {
	reader *r = user;
	gsize size = length == 0 || length == (guint)-1 ? USUAL : length;
	if (size > MOST) {
		GST_ELEMENT_ERROR(src, RESOURCE, READ, ("The file asks for too much at once"), (NULL));
		gst_app_src_end_of_stream(src);
		return;
	}
	GstBuffer *b = gst_buffer_new_allocate(NULL, size, NULL);
	GstMapInfo m;
	gint64 n = -1;
	if (b && gst_buffer_map(b, &m, GST_MAP_WRITE)) {
		n = goRead(r->handle, r->at, m.data, size);
		gst_buffer_unmap(b, &m);
	}
	if (n <= 0) {
		if (b)
			gst_buffer_unref(b);
		if (n < 0)
			GST_ELEMENT_ERROR(src, RESOURCE, READ, ("The source cannot be read"), (NULL));
		gst_app_src_end_of_stream(src);
		return;
	}
	gst_buffer_set_size(b, n);
	GST_BUFFER_OFFSET(b) = r->at;
	r->at += n;
	GST_BUFFER_OFFSET_END(b) = r->at;
	gst_app_src_push_buffer(src, b);
}

static gboolean seek(GstAppSrc *src, guint64 offset, gpointer user) {
	(void)src;
	((reader *)user)->at = offset;
	return TRUE;
}

static void done(gpointer user) {
	reader *r = user;
	goRelease(r->handle);
	g_free(r);
}

void gv_serve(gpointer src, guint64 size, uintptr_t handle) {
	reader *r = g_new0(reader, 1);
	r->handle = handle;
	g_object_set(src, "format", GST_FORMAT_BYTES, "is-live", FALSE, "block", FALSE, "max-bytes", (guint64)0, NULL);
	gst_app_src_set_stream_type(src, GST_APP_STREAM_TYPE_RANDOM_ACCESS);
	gst_app_src_set_size(src, size);
	GstAppSrcCallbacks cb;
	memset(&cb, 0, sizeof cb);
	cb.need_data = need;
	cb.seek_data = seek;
	gst_app_src_set_callbacks(src, &cb, r, done);
}

guint64 gv_base_time(gpointer pipeline) { return gst_element_get_base_time(pipeline); }

int gv_settled(gpointer element, int state) {
	GstState now, next;
	return gst_element_get_state(element, &now, &next, 0) == GST_STATE_CHANGE_SUCCESS && now == (GstState)state;
}

static GstPadProbeReturn pts_from_dts(GstPad *pad, GstPadProbeInfo *info, gpointer user) {
	(void)pad;
	(void)user;
	GstBuffer *b = GST_PAD_PROBE_INFO_BUFFER(info);
	if (!GST_BUFFER_PTS_IS_VALID(b) && GST_BUFFER_DTS_IS_VALID(b)) {
		b = gst_buffer_make_writable(b);
		GST_BUFFER_PTS(b) = GST_BUFFER_DTS(b);
		GST_PAD_PROBE_INFO_DATA(info) = b;
	}
	return GST_PAD_PROBE_OK;
}

void gv_pts_from_dts(gpointer pad) { gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, pts_from_dts, NULL, NULL); }

// What opens addresses by itself, or takes a list of them apart.
static gboolean opens(GstElementFactory *f) {
	const char *name = gst_plugin_feature_get_name(GST_PLUGIN_FEATURE(f));
	if (!strcmp(name, "fdsrc") || !strcmp(name, "appsrc"))
		return FALSE;
	if (gst_element_factory_get_uri_type(f) == GST_URI_SRC)
		return TRUE;
	const char *klass = gst_element_factory_get_metadata(f, GST_ELEMENT_METADATA_KLASS);
	if (klass && (strstr(klass, "Adaptive") || strstr(klass, "Source/Network")))
		return TRUE;
	static const char *const more[] = {"hlsdemux", "hlsdemux2", "dashdemux", "dashdemux2", "mssdemux", "mssdemux2", "sdpdemux", "sdpsrc", "rtspsrc", "uridecodebin",
		"uridecodebin3", "urisourcebin", "playbin", "playbin3", "splitmuxsrc", "multifilesrc", "imagesequencesrc", "gesdemux", "cdiocddasrc", NULL};
	for (int i = 0; more[i]; i++)
		if (!strcmp(name, more[i]))
			return TRUE;
	return FALSE;
}

void gv_no_addresses(void) {
	GstRegistry *r = gst_registry_get();
	GList *all = gst_registry_get_feature_list(r, GST_TYPE_ELEMENT_FACTORY);
	for (GList *l = all; l; l = l->next)
		if (opens(l->data))
			gst_registry_remove_feature(r, l->data);
	gst_plugin_feature_list_free(all);
}
