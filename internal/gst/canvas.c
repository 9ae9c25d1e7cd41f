//go:build gst

#include "gst.h"
#include "canvas.h"
#include <string.h>

struct gv_image {
	gint refs;
	int w, h;
	guint8 *y, *u, *v, *a, *ac; // ac: alpha of chroma samples
	int *from, *to;             // per line of y: where it is not transparent
};

typedef struct {
	int x, y, w, h;
} rect;

// A part is a layer as it is drawn now.
typedef struct {
	gv_layer layer;
	int cursor; // of the scene's; -1 for an image
	int hidden; // nothing of it is seen
	int plain;  // frames have the place's size: rows are copied
	rect src, dst;
	GstVideoConverter *scaler;
} part;

// A scene is what a canvas shows, and how that is drawn.
typedef struct {
	gv_image *base;
	part *parts;
	int n;
	gv_cursor *cursors;
	int seen;      // cursors
	int planned;   // for the sizes that frames have
	rect *rest;    // of the base, where no part lies
	int rests, room;
	int whole;     // the part that is all there is, or -1
} scene;

struct gv_canvas {
	GstElement *src;
	GstVideoInfo info;
	GstBufferPool *pool;
	GMutex lock; // next and counts
	scene *next;
	gv_drawings counts;
	scene *now;      // of who draws
	GstBuffer *last; // what was pushed last
	// The drawing thread, when there is one.
	GThread *thread;
	GMutex rest; // quit
	GCond wake;
	int quit;
	gint busy;
	gint64 base, latency;
	guint64 limit;
};

gv_image *gv_image_new(int w, int h, const void *y, const void *u, const void *v, const void *a, const void *ac) {
	gv_image *m = g_new0(gv_image, 1);
	gsize luma = (gsize)w * h, chroma = luma / 4;
	m->refs = 1;
	m->w = w;
	m->h = h;
	m->y = g_memdup2(y, luma);
	m->u = g_memdup2(u, chroma);
	m->v = g_memdup2(v, chroma);
	if (!a)
		return m;
	m->a = g_memdup2(a, luma);
	m->ac = g_memdup2(ac, chroma);
	m->from = g_new0(int, h);
	m->to = g_new0(int, h);
	for (int j = 0; j < h; j++) {
		const guint8 *row = m->a + (gsize)j * w;
		int f = 0, t = w;
		while (f < w && !row[f])
			f++;
		while (t > f && !row[t - 1])
			t--;
		m->from[j] = f;
		m->to[j] = t;
	}
	return m;
}

static gv_image *image_ref(gv_image *m) {
	g_atomic_int_inc(&m->refs);
	return m;
}

void gv_image_unref(gv_image *m) {
	if (!g_atomic_int_dec_and_test(&m->refs))
		return;
	g_free(m->y);
	g_free(m->u);
	g_free(m->v);
	g_free(m->a);
	g_free(m->ac);
	g_free(m->from);
	g_free(m->to);
	g_free(m);
}

static void scene_free(scene *s) {
	if (!s)
		return;
	for (int i = 0; i < s->n; i++) {
		if (s->parts[i].scaler)
			gst_video_converter_free(s->parts[i].scaler);
		if (s->parts[i].layer.image)
			gv_image_unref(s->parts[i].layer.image);
	}
	for (int i = 0; i < s->seen; i++) {
		if (s->cursors[i].frame)
			gv_frame_unref(s->cursors[i].frame);
		gv_store_unref(s->cursors[i].store);
	}
	if (s->base)
		gv_image_unref(s->base);
	g_free(s->parts);
	g_free(s->cursors);
	g_free(s->rest);
	g_free(s);
}

gv_canvas *gv_canvas_new(gpointer appsrc, int width, int height, int rate) {
	gv_canvas *c = g_new0(gv_canvas, 1);
	g_mutex_init(&c->lock);
	g_mutex_init(&c->rest);
	g_cond_init(&c->wake);
	gst_video_info_set_format(&c->info, GST_VIDEO_FORMAT_I420, width, height);
	c->info.fps_n = rate;
	c->info.fps_d = 1;
	gst_video_colorimetry_from_string(&c->info.colorimetry, "bt601");
	c->info.chroma_site = GST_VIDEO_CHROMA_SITE_MPEG2;
	GstCaps *caps = gst_video_info_to_caps(&c->info);
	c->pool = gst_video_buffer_pool_new();
	GstStructure *config = gst_buffer_pool_get_config(c->pool);
	gst_buffer_pool_config_set_params(config, caps, c->info.size, 2, 0);
	gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
	gst_buffer_pool_set_config(c->pool, config);
	g_object_set(appsrc, "caps", caps, NULL);
	gst_caps_unref(caps);
	gst_buffer_pool_set_active(c->pool, TRUE);
	c->src = gst_object_ref(appsrc);
	return c;
}

void gv_canvas_free(gv_canvas *c) {
	if (c->thread) {
		g_mutex_lock(&c->rest);
		c->quit = 1;
		g_cond_signal(&c->wake);
		g_mutex_unlock(&c->rest);
		g_thread_join(c->thread);
	}
	g_mutex_clear(&c->rest);
	g_cond_clear(&c->wake);
	scene_free(c->now);
	scene_free(c->next);
	gst_buffer_replace(&c->last, NULL);
	gst_buffer_pool_set_active(c->pool, FALSE);
	gst_object_unref(c->pool);
	gst_object_unref(c->src);
	g_mutex_clear(&c->lock);
	g_free(c);
}

void gv_canvas_set(gv_canvas *c, gv_image *base, const gv_layer *layers, int n) {
	scene *s = g_new0(scene, 1);
	s->base = image_ref(base);
	s->parts = g_new0(part, MAX(n, 1));
	s->cursors = g_new0(gv_cursor, MAX(n, 1));
	for (int i = 0; i < n; i++) {
		part *p = &s->parts[s->n++];
		p->layer = layers[i];
		p->cursor = -1;
		if (p->layer.image) {
			image_ref(p->layer.image);
			continue;
		}
		for (p->cursor = 0; p->cursor < s->seen && s->cursors[p->cursor].store != p->layer.store; p->cursor++)
			;
		if (p->cursor == s->seen)
			s->cursors[s->seen++].store = gv_store_ref(p->layer.store);
	}
	g_mutex_lock(&c->lock);
	scene *old = c->next;
	c->next = s;
	g_mutex_unlock(&c->lock);
	scene_free(old);
}

void gv_canvas_counts(gv_canvas *c, gv_drawings *out) {
	g_mutex_lock(&c->lock);
	*out = c->counts;
	g_mutex_unlock(&c->lock);
}

// adopt makes a scene the present one. Its cursors go on where they stood.
static void adopt(gv_canvas *c, scene *s) {
	for (int i = 0; c->now && i < s->seen; i++)
		for (int j = 0; j < c->now->seen; j++)
			if (s->cursors[i].store == c->now->cursors[j].store) {
				s->cursors[i].frame = g_steal_pointer(&c->now->cursors[j].frame);
				s->cursors[i].epoch = c->now->cursors[j].epoch;
				break;
			}
	scene_free(c->now);
	c->now = s;
}

static int within(rect a, rect b) { return a.x >= b.x && a.y >= b.y && a.x + a.w <= b.x + b.w && a.y + a.h <= b.y + b.h; }

// fit finds what of a frame is drawn where.
static void fit(part *p, const GstVideoInfo *in) {
	gv_layer *l = &p->layer;
	double w = in->width, h = in->height;
	if (in->par_n > 0 && in->par_d > 0)
		w = w * in->par_n / in->par_d;
	p->src = (rect){0, 0, in->width, in->height};
	p->dst = (rect){l->x, l->y, l->w, l->h};
	// Less than a pixel or two is not worth a border.
	if (l->cover) {
		double s = MAX(l->w / w, l->h / h);
		int sw = ((int)(l->w / s / w * in->width + 1)) & ~1, sh = ((int)(l->h / s / h * in->height + 1)) & ~1;
		if (in->width - sw > 2 && sw >= 2) {
			p->src.x = ((in->width - sw) / 2) & ~1;
			p->src.w = sw;
		}
		if (in->height - sh > 2 && sh >= 2) {
			p->src.y = ((in->height - sh) / 2) & ~1;
			p->src.h = sh;
		}
	} else {
		double s = MIN(l->w / w, l->h / h);
		int dw = ((int)(w * s + 1)) & ~1, dh = ((int)(h * s + 1)) & ~1;
		if (l->w - dw > 2) {
			p->dst.w = MAX(dw, 2);
			p->dst.x = l->x + (((l->w - p->dst.w) / 2) & ~1);
		}
		if (l->h - dh > 2) {
			p->dst.h = MAX(dh, 2);
			p->dst.y = l->y + (((l->h - p->dst.h) / 2) & ~1);
		}
	}
}

static int full_range(const GstVideoInfo *i) { return i->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255; }

// scaler makes a converter for frames of that kind. Matrices are not converted:
// decoders guess them from the size when a stream does not tell.
static GstVideoConverter *scaler(gv_canvas *c, part *p, const GstVideoInfo *in) {
	GstVideoInfo from = *in, to = c->info;
	GstVideoColorRange range = from.colorimetry.range;
	from.colorimetry = to.colorimetry;
	from.chroma_site = to.chroma_site;
	if (full_range(in))
		from.colorimetry.range = range;
	from.par_n = from.par_d = 1;
	from.fps_n = to.fps_n;
	from.fps_d = to.fps_d;
	from.interlace_mode = to.interlace_mode;
	return gst_video_converter_new(&from, &to, gst_structure_new("scale",
		GST_VIDEO_CONVERTER_OPT_SRC_X, G_TYPE_INT, p->src.x, GST_VIDEO_CONVERTER_OPT_SRC_Y, G_TYPE_INT, p->src.y,
		GST_VIDEO_CONVERTER_OPT_SRC_WIDTH, G_TYPE_INT, p->src.w, GST_VIDEO_CONVERTER_OPT_SRC_HEIGHT, G_TYPE_INT, p->src.h,
		GST_VIDEO_CONVERTER_OPT_DEST_X, G_TYPE_INT, p->dst.x, GST_VIDEO_CONVERTER_OPT_DEST_Y, G_TYPE_INT, p->dst.y,
		GST_VIDEO_CONVERTER_OPT_DEST_WIDTH, G_TYPE_INT, p->dst.w, GST_VIDEO_CONVERTER_OPT_DEST_HEIGHT, G_TYPE_INT, p->dst.h,
		GST_VIDEO_CONVERTER_OPT_FILL_BORDER, G_TYPE_BOOLEAN, FALSE,
		GST_VIDEO_CONVERTER_OPT_RESAMPLER_METHOD, GST_TYPE_VIDEO_RESAMPLER_METHOD, GST_VIDEO_RESAMPLER_METHOD_LINEAR,
		GST_VIDEO_CONVERTER_OPT_CHROMA_MODE, GST_TYPE_VIDEO_CHROMA_MODE, GST_VIDEO_CHROMA_MODE_NONE,
		GST_VIDEO_CONVERTER_OPT_THREADS, G_TYPE_UINT, 1, NULL));
}

static void rest_add(scene *s, rect r) {
	if (r.w <= 0 || r.h <= 0)
		return;
	if (s->rests == s->room) {
		s->room = MAX(8, 2 * s->room);
		s->rest = g_renew(rect, s->rest, s->room);
	}
	s->rest[s->rests++] = r;
}

// cut takes a place out of the rest of the base.
static void cut(scene *s, rect b) {
	int n = s->rests;
	for (int i = 0; i < n; i++) {
		rect a = s->rest[i];
		int x0 = MAX(a.x, b.x), y0 = MAX(a.y, b.y), x1 = MIN(a.x + a.w, b.x + b.w), y1 = MIN(a.y + a.h, b.y + b.h);
		if (x0 >= x1 || y0 >= y1)
			continue;
		s->rest[i].h = y0 - a.y; // above; may be nothing
		rest_add(s, (rect){a.x, y1, a.w, a.y + a.h - y1});
		rest_add(s, (rect){a.x, y0, x0 - a.x, y1 - y0});
		rest_add(s, (rect){x1, y0, a.x + a.w - x1, y1 - y0});
	}
}

// plan finds out once what is the same for every picture until sizes change.
static void plan(gv_canvas *c, scene *s) {
	rect all = {0, 0, c->info.width, c->info.height};
	s->rests = 0;
	s->whole = -1;
	rest_add(s, all);
	for (int i = 0; i < s->n; i++) {
		part *p = &s->parts[i];
		if (p->scaler)
			gst_video_converter_free(g_steal_pointer(&p->scaler));
		p->plain = p->hidden = 0;
		if (p->cursor < 0) {
			p->dst = (rect){p->layer.x, p->layer.y, p->layer.image->w, p->layer.image->h};
			continue;
		}
		gv_frame *f = s->cursors[p->cursor].frame;
		if (!f) {
			p->hidden = 1;
			continue;
		}
		fit(p, &f->info);
		p->plain = p->src.w == p->dst.w && p->src.h == p->dst.h && !full_range(&f->info);
	}
	int left = 0;
	for (int i = s->n - 1; i >= 0; i--) {
		part *p = &s->parts[i];
		for (int j = i + 1; j < s->n && !p->hidden; j++) {
			part *q = &s->parts[j];
			p->hidden = !q->hidden && !(q->layer.image && q->layer.image->a) && within(p->dst, q->dst);
		}
		if (p->hidden)
			continue;
		left++;
		if (p->cursor >= 0 && !p->plain)
			p->scaler = scaler(c, p, &s->cursors[p->cursor].frame->info);
		if (p->plain || p->scaler || !p->layer.image->a)
			cut(s, p->dst);
		if (p->plain && within(all, p->dst))
			s->whole = i;
	}
	if (left != 1)
		s->whole = -1;
	else if (s->whole >= 0) {
		GstVideoInfo *in = &s->cursors[s->parts[s->whole].cursor].frame->info;
		if (in->width != c->info.width || in->height != c->info.height)
			s->whole = -1;
	}
	s->planned = 1;
}

static void copy_plane(GstVideoFrame *to, int plane, int x, int y, int w, int h, const guint8 *from, int stride) {
	int ts = GST_VIDEO_FRAME_PLANE_STRIDE(to, plane);
	guint8 *d = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(to, plane) + (gsize)y * ts + x;
	if (w == ts && w == stride) {
		memcpy(d, from, (gsize)w * h);
		return;
	}
	for (int j = 0; j < h; j++, d += ts, from += stride)
		memcpy(d, from, w);
}

// copy_base copies a place of the base to the same place of the picture.
static void copy_base(GstVideoFrame *to, const gv_image *m, rect r) {
	copy_plane(to, 0, r.x, r.y, r.w, r.h, m->y + (gsize)r.y * m->w + r.x, m->w);
	gsize at = (gsize)(r.y / 2) * (m->w / 2) + r.x / 2;
	copy_plane(to, 1, r.x / 2, r.y / 2, r.w / 2, r.h / 2, m->u + at, m->w / 2);
	copy_plane(to, 2, r.x / 2, r.y / 2, r.w / 2, r.h / 2, m->v + at, m->w / 2);
}

static void copy_frame(GstVideoFrame *to, const GstVideoFrame *from, const part *p) {
	for (int i = 0; i < 3; i++) {
		int d = i ? 2 : 1, s = GST_VIDEO_FRAME_PLANE_STRIDE(from, i);
		copy_plane(to, i, p->dst.x / d, p->dst.y / d, p->dst.w / d, p->dst.h / d,
			(const guint8 *)GST_VIDEO_FRAME_PLANE_DATA(from, i) + (gsize)(p->src.y / d) * s + p->src.x / d, s);
	}
}

__attribute__((optimize("O3"))) static void blend(guint8 *restrict d, const guint8 *restrict s, const guint8 *restrict a, int n) {
	for (int i = 0; i < n; i++) {
		guint16 v = (guint16)(d[i] * (255 - a[i]) + s[i] * a[i]);
		guint32 t = (guint32)v + 128;
		d[i] = (guint8)((t + (t >> 8)) >> 8);
	}
}

static void draw_image(GstVideoFrame *to, const gv_image *m, int x, int y) {
	int half = m->w / 2;
	if (!m->a) {
		copy_plane(to, 0, x, y, m->w, m->h, m->y, m->w);
		copy_plane(to, 1, x / 2, y / 2, half, m->h / 2, m->u, half);
		copy_plane(to, 2, x / 2, y / 2, half, m->h / 2, m->v, half);
		return;
	}
	const guint8 *planes[3] = {m->y, m->u, m->v};
	for (int i = 0; i < 3; i++) {
		int d = i ? 2 : 1, w = m->w / d, ts = GST_VIDEO_FRAME_PLANE_STRIDE(to, i);
		guint8 *row = (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(to, i) + (gsize)(y / d) * ts + x / d;
		for (int j = 0; j < m->h / d; j++, row += ts) {
			int f = m->from[j * d], t = m->to[j * d];
			if (i) {
				f = MIN(f, m->from[2 * j + 1]) / 2;
				t = (MAX(t, m->to[2 * j + 1]) + 1) / 2;
			}
			gsize at = (gsize)j * w + f;
			if (t > f)
				blend(row + f, planes[i] + at, (i ? m->ac : m->a) + at, t - f);
		}
	}
}

static GstBuffer *compose(gv_canvas *c, scene *s) {
	GstBuffer *b = NULL;
	GstVideoFrame out;
	if (gst_buffer_pool_acquire_buffer(c->pool, &b, NULL) != GST_FLOW_OK)
		return NULL;
	if (!gst_video_frame_map(&out, &c->info, b, GST_MAP_WRITE)) {
		gst_buffer_unref(b);
		return NULL;
	}
	for (int i = 0; i < s->rests; i++)
		copy_base(&out, s->base, s->rest[i]);
	for (int i = 0; i < s->n; i++) {
		part *p = &s->parts[i];
		if (p->hidden)
			continue;
		if (p->cursor < 0) {
			draw_image(&out, p->layer.image, p->dst.x, p->dst.y);
			continue;
		}
		gv_frame *f = s->cursors[p->cursor].frame;
		GstVideoFrame in;
		if (!gst_video_frame_map(&in, &f->info, f->buffer, GST_MAP_READ))
			continue;
		if (p->plain)
			copy_frame(&out, &in, p);
		else if (p->scaler)
			gst_video_converter_frame(p->scaler, &in, &out);
		gst_video_frame_unmap(&in);
	}
	gst_video_frame_unmap(&out);
	return b;
}

// 0 pushed, 1 limit buffers wait behind the canvas already, 2 it is not shown what to show, 3 it failed.
int gv_canvas_draw(gv_canvas *c, guint64 pts, guint64 duration, guint64 limit) {
	gv_drawings did = {0};
	g_mutex_lock(&c->lock);
	scene *next = g_steal_pointer(&c->next);
	g_mutex_unlock(&c->lock);
	if (next)
		adopt(c, next);
	scene *s = c->now;
	if (!s)
		return 2;
	int changed = next != NULL || !c->last;
	for (int i = 0; i < s->seen; i++) {
		GstVideoInfo before;
		int had = s->cursors[i].frame != NULL;
		if (had)
			before = s->cursors[i].frame->info;
		if (!gv_store_pick(&s->cursors[i], (gint64)pts, (gint64)duration))
			continue;
		changed = 1;
		GstVideoInfo *in = &s->cursors[i].frame->info;
		if (!had || in->width != before.width || in->height != before.height || in->par_n != before.par_n || in->par_d != before.par_d ||
			full_range(in) != full_range(&before) || memcmp(in->stride, before.stride, sizeof before.stride) || memcmp(in->offset, before.offset, sizeof before.offset))
			s->planned = 0;
	}
	if (!s->planned)
		plan(c, s);
	if (limit && gst_app_src_get_current_level_buffers(GST_APP_SRC(c->src)) >= limit) {
		// What was not pushed must not be taken for pushed.
		gst_buffer_replace(&c->last, NULL);
		g_mutex_lock(&c->lock);
		c->counts.refused++;
		g_mutex_unlock(&c->lock);
		return 1;
	}
	GstBuffer *b;
	if (!changed) {
		b = gst_buffer_copy(c->last); // the same memory
		did.repeated = 1;
	} else if (s->whole >= 0) {
		b = gst_buffer_copy(s->cursors[s->parts[s->whole].cursor].frame->buffer);
		did.passed = 1;
	} else {
		b = compose(c, s);
		did.drawn = 1;
	}
	if (!b)
		return 3;
	GST_BUFFER_PTS(b) = pts;
	GST_BUFFER_DTS(b) = GST_CLOCK_TIME_NONE;
	GST_BUFFER_DURATION(b) = duration;
	GST_BUFFER_OFFSET(b) = GST_BUFFER_OFFSET_END(b) = GST_BUFFER_OFFSET_NONE;
	gst_buffer_unset_flags(b, GST_BUFFER_FLAG_DISCONT | GST_BUFFER_FLAG_GAP | GST_BUFFER_FLAG_DELTA_UNIT | GST_BUFFER_FLAG_RESYNC);
	gst_buffer_replace(&c->last, b);
	g_mutex_lock(&c->lock);
	c->counts.drawn += did.drawn;
	c->counts.repeated += did.repeated;
	c->counts.passed += did.passed;
	g_mutex_unlock(&c->lock);
	return gst_app_src_push_buffer(GST_APP_SRC(c->src), b) == GST_FLOW_OK ? 0 : 3;
}

// How far drawing may be behind its time before it leaves pictures out. Until then
// it makes them late, but makes them.
static const gint64 lost = GST_SECOND;

// A thread of its own draws a picture each interval, latency after its PTS. It is
// no goroutine: to wake Go 25 times a second costs more than a small picture.
static gpointer drawing(gpointer user) {
	gv_canvas *c = user;
	gint64 rate = c->info.fps_n, interval = GST_SECOND / rate, n = -1;
	g_mutex_lock(&c->rest);
	for (;;) {
		gint64 now = (gint64)gv_now() - c->base - c->latency;
		gint64 due = MAX(0, now / GST_SECOND * rate + now % GST_SECOND * rate / GST_SECOND);
		if (n < 0)
			n = due;
		gint64 pts = n / rate * GST_SECOND + n % rate * GST_SECOND / rate, wait = pts - now;
		if (wait < -lost) {
			n = due;
			continue;
		}
		// What is late is made at four times the pace: an encoder needs its time too.
		if (wait < 0)
			wait = MIN(interval / 4, 5 * GST_MSECOND);
		gint64 until = g_get_monotonic_time() + (wait + 999) / 1000;
		while (!c->quit && g_cond_wait_until(&c->wake, &c->rest, until))
			;
		if (c->quit)
			break;
		// To whom nobody listens shows by two pictures a second that it is there.
		if (g_atomic_int_get(&c->busy) || n % MAX(rate / 2, 1) == 0) {
			g_mutex_unlock(&c->rest);
			gv_canvas_draw(c, pts, interval, c->limit);
			g_mutex_lock(&c->rest);
		}
		n++;
	}
	g_mutex_unlock(&c->rest);
	return NULL;
}

void gv_canvas_start(gv_canvas *c, guint64 base, guint64 latency, guint64 limit) {
	c->base = (gint64)base;
	c->latency = (gint64)latency;
	c->limit = limit;
	c->thread = g_thread_new("view", drawing, c);
}

void gv_canvas_busy(gv_canvas *c, int busy) { g_atomic_int_set(&c->busy, busy); }
