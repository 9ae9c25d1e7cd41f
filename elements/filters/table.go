package filters

import (
	"math"

	"github.com/govidu/govidu/pipeline"
)

// The table is written by hand, from GStreamer 1.22's own descriptions, because
// the server process has no GStreamer; a test beside the worker compares the
// two. Left out is whatever names a file, an address or a device, posts what
// nobody reads, changes the speed of time, or stops the stream on purpose.
// Ranges are GStreamer's, narrowed where a value would only eat memory.

func video(p ...property) *element { return &element{kind: pipeline.Video, properties: p, cores: 0.05} }
func audio(p ...property) *element { return &element{kind: pipeline.Audio, properties: p, cores: 0.02} }

// heavy gives a row another cost.
func heavy(cores float64, e *element) *element { e.cores = cores; return e }

func integer(name string, min, max float64) property {
	return property{name: name, kind: intKind, min: min, max: max}
}

func unsigned(name string, min, max float64) property {
	return property{name: name, kind: uintKind, min: min, max: max}
}

// nanoseconds is an unsigned 64-bit property of at most so many seconds.
func nanoseconds(name string, min, seconds float64) property {
	return property{name: name, kind: uint64Kind, min: min, max: seconds * 1e9}
}

func float(name string, min, max float64) property {
	return property{name: name, kind: floatKind, min: min, max: max}
}

func double(name string, min, max float64) property {
	return property{name: name, kind: doubleKind, min: min, max: max}
}

func boolean(name string) property { return property{name: name, kind: booleanKind} }

func enum(name string, nicks ...string) property {
	return property{name: name, kind: enumKind, nicks: nicks}
}

// edges and circle are what the geometric effects share.
func edges(p ...property) *element {
	return heavy(0.2, video(append([]property{enum("off-edge-pixels", "ignore", "clamp", "wrap")}, p...)...))
}

func circle(p ...property) *element {
	return edges(append([]property{double("x-center", 0, 1), double("y-center", 0, 1), double("radius", 0, 1)}, p...)...)
}

// overlay is what the three text overlays share.
func overlay(p ...property) *element {
	return video(append([]property{
		{name: "text", kind: stringKind, markup: true},
		{name: "font-desc", kind: stringKind, font: true},
		boolean("shaded-background"), unsigned("shading-value", 1, 255),
		enum("halignment", "left", "center", "right"),
		enum("valignment", "baseline", "bottom", "top", "center=4"),
		integer("xpad", 0, 4096), integer("ypad", 0, 4096), integer("deltax", -4096, 4096), integer("deltay", -4096, 4096),
		double("xpos", 0, 1), double("ypos", 0, 1), double("x-absolute", -10, 10), double("y-absolute", -10, 10),
		enum("wrap-mode", "none=-1", "word=0", "char=1", "wordchar=2"),
		enum("line-alignment", "left", "center", "right"),
		boolean("silent"), boolean("wait-text"), boolean("auto-resize"), boolean("vertical-render"),
		unsigned("color", 0, math.MaxUint32), unsigned("outline-color", 0, math.MaxUint32),
		boolean("draw-shadow"), boolean("draw-outline"),
	}, p...)...)
}

// scaling is what videoscale and videoconvert share.
func scaling() *element {
	return video(
		enum("method", "nearest-neighbour", "bilinear", "4-tap", "lanczos", "bilinear2", "sinc", "hermite", "spline", "catrom", "mitchell"),
		boolean("add-borders"), double("sharpness", 0.5, 1.5), double("sharpen", 0, 1), double("envelope", 1, 5),
		enum("dither", "none", "verterr", "floyd-steinberg", "sierra-lite", "bayer"),
		enum("chroma-resampler", "nearest", "linear", "cubic", "sinc", "lanczos"),
	)
}

const (
	side  = 4096 // no picture here is larger
	speed = 1000 // of what turns or waves
)

// table is every element a GStreamerFilter may be.
var table = map[string]*element{
	// Geometry and colour.
	"videoflip": video(
		enum("method", "none", "clockwise", "rotate-180", "counterclockwise", "horizontal-flip", "vertical-flip", "upper-left-diagonal", "upper-right-diagonal", "automatic"),
		enum("video-direction", "identity", "90r", "180", "90l", "horiz", "vert", "ul-lr", "ur-ll", "auto"),
	),
	"videobalance":    video(double("contrast", 0, 2), double("brightness", -1, 1), double("hue", -1, 1), double("saturation", 0, 2)),
	"gamma":           video(double("gamma", 0.01, 10)),
	"videocrop":       video(integer("left", -1, side), integer("right", -1, side), integer("top", -1, side), integer("bottom", -1, side)),
	"aspectratiocrop": video(property{name: "aspect-ratio", kind: fractionKind}),
	"videobox": video(
		integer("left", -side, side), integer("right", -side, side), integer("top", -side, side), integer("bottom", -side, side),
		enum("fill", "black", "green", "blue", "red", "yellow", "white"),
		double("alpha", 0, 1), double("border-alpha", 0, 1), boolean("autocrop"),
	),
	"alpha": heavy(0.16, video(
		enum("method", "set", "green", "blue", "custom"), double("alpha", 0, 1),
		unsigned("target-r", 0, 255), unsigned("target-g", 0, 255), unsigned("target-b", 0, 255),
		float("angle", 0, 90), float("noise-level", 0, 64), unsigned("black-sensitivity", 0, 128), unsigned("white-sensitivity", 0, 128),
		boolean("prefer-passthrough"),
	)),
	"smooth":      heavy(0.2, video(boolean("active"), integer("tolerance", 0, 255), integer("filter-size", 0, 16), boolean("luma-only"))),
	"videomedian": heavy(0.1, video(enum("filtersize", "5=5", "9=9"), boolean("lum-only"))),
	"zebrastripe": video(integer("threshold", 0, 100)),
	"videodiff":   video(),
	"deinterlace": video(
		enum("mode", "auto", "interlaced", "disabled", "auto-strict"),
		enum("method", "tomsmocomp", "greedyh", "greedyl", "vfir", "linear", "linearblend", "scalerbob", "weave", "weavetff", "weavebff", "yadif"),
		enum("fields", "all", "top", "bottom", "auto"), enum("tff", "auto", "tff", "bff"),
	),
	"videoscale":   scaling(),
	"videoconvert": scaling(),
	"videorate": video(
		integer("max-rate", 1, 1000), nanoseconds("average-period", 0, 10), boolean("drop-only"), boolean("silent"),
		boolean("skip-to-first"), double("new-pref", 0, 1),
	),
	"capsfilter": {properties: []property{{name: "caps", kind: capsKind}}, cores: 0.05},

	// Text.
	"textoverlay":  overlay(),
	"clockoverlay": overlay(property{name: "time-format", kind: stringKind, markup: true}),
	"timeoverlay": overlay(
		enum("time-mode", "buffer-time", "stream-time", "running-time", "time-code", "elapsed-running-time"),
		boolean("show-times-as-dates"), property{name: "datetime-format", kind: stringKind, markup: true},
	),

	// coloreffects, gaudieffects.
	"coloreffects": video(enum("preset", "none", "heat", "sepia", "xray", "xpro", "yellowblue")),
	"chromahold":   heavy(0.1, video(unsigned("target-r", 0, 255), unsigned("target-g", 0, 255), unsigned("target-b", 0, 255), unsigned("tolerance", 0, 180))),
	"gaussianblur": heavy(0.6, video(double("sigma", -20, 20))),
	"solarize":     video(unsigned("threshold", 0, 256), unsigned("start", 0, 256), unsigned("end", 0, 256)),
	"burn":         video(unsigned("adjustment", 0, 256)),
	"chromium":     video(unsigned("edge-a", 0, 256), unsigned("edge-b", 0, 256)),
	"dilate":       heavy(0.1, video(boolean("erode"))),
	"dodge":        video(),
	"exclusion":    video(unsigned("factor", 1, 175)),

	// effectv.
	"agingtv":      video(unsigned("scratch-lines", 0, 20), boolean("color-aging"), boolean("pits"), boolean("dusts")),
	"edgetv":       video(),
	"dicetv":       video(integer("square-bits", 0, 5)),
	"optv":         video(enum("mode", "maelstrom", "radiation", "horizontal-stripes", "vertical-stripes"), integer("speed", -speed, speed), unsigned("threshold", 0, 255)),
	"quarktv":      video(integer("planes", 1, 64)),
	"radioactv":    video(enum("mode", "normal", "strobe1", "strobe2", "trigger"), enum("color", "red", "green", "blue", "white"), unsigned("interval", 0, speed), boolean("trigger")),
	"revtv":        video(integer("delay", 1, 100), integer("linespace", 1, 100), integer("gain", 1, 200)),
	"rippletv":     heavy(0.1, video(boolean("reset"), enum("mode", "motion-detection", "rain"))),
	"shagadelictv": video(),
	"streaktv":     video(boolean("feedback")),
	"vertigotv":    video(float("speed", 0.01, 100), float("zoom-speed", 1.01, 1.1)),
	"warptv":       video(),

	// geometrictransform.
	"bulge":        circle(double("zoom", 1, 100)),
	"circle":       circle(double("angle", -speed, speed), integer("height", 0, side), double("spread-angle", -speed, speed)),
	"diffuse":      edges(double("scale", 1, speed)),
	"fisheye":      edges(),
	"kaleidoscope": circle(double("angle", -speed, speed), double("angle2", -speed, speed), integer("sides", 2, speed)),
	"marble":       edges(double("x-scale", 0, speed), double("y-scale", 0, speed), double("turbulence", 0, 1), double("amount", 0, 1)),
	"mirror":       edges(enum("mode", "left", "right", "top", "bottom")),
	"pinch":        circle(double("intensity", -1, 1)),
	"rotate":       edges(double("angle", -speed, speed)),
	"sphere":       circle(double("refraction", -speed, speed)),
	"square":       edges(double("width", 0, 1), double("height", 0, 1), double("zoom", 1, 100)),
	"stretch":      circle(double("intensity", 0, 1)),
	"tunnel":       circle(),
	"twirl":        circle(double("angle", -speed, speed)),
	"waterripple":  circle(double("amplitude", -speed, speed), double("phase", -speed, speed), double("wavelength", -speed, speed)),

	// OpenCV.
	"edgedetect":     heavy(0.2, video(integer("threshold1", 0, 1000), integer("threshold2", 0, 1000), integer("aperture", 3, 7), boolean("mask"))),
	"cvequalizehist": video(),
	"cvdilate":       heavy(0.2, video(integer("iterations", 1, 32))),
	"cverode":        heavy(0.2, video(integer("iterations", 1, 32))),
	"cvlaplace":      heavy(0.2, video(integer("aperture-size", 1, 7), double("scale", 0, speed), double("shift", 0, speed), boolean("mask"))),
	"skindetect":     heavy(0.2, video(boolean("postprocess"), enum("method", "hsv", "rgb"))),

	// Sound.
	"volume":        audio(double("volume", 0, 10), boolean("mute")),
	"audioamplify":  audio(float("amplification", -speed, speed), enum("clipping-method", "clip", "wrap-negative", "wrap-positive", "none")),
	"audioecho":     audio(nanoseconds("delay", 1, 10), nanoseconds("max-delay", 1, 10), float("intensity", 0, 1), float("feedback", 0, 1), boolean("surround-delay")),
	"audiopanorama": audio(float("panorama", -1, 1), enum("method", "psychoacoustic", "simple")),
	"audiodynamic": audio(
		enum("characteristics", "hard-knee", "soft-knee"), enum("mode", "compressor", "expander"), float("threshold", 0, 1), float("ratio", 0, speed),
	),
	"audioinvert":  audio(float("degree", 0, 1)),
	"audiokaraoke": audio(float("level", 0, 1), float("mono-level", 0, 1), float("filter-band", 0, 441), float("filter-width", 0, 100)),
	"audiochebband": audio(
		enum("mode", "band-pass", "band-reject"), integer("type", 1, 2), float("lower-frequency", 0, 100000), float("upper-frequency", 0, 100000),
		float("ripple", 0, 200), integer("poles", 4, 32),
	),
	"audiocheblimit": audio(
		enum("mode", "low-pass", "high-pass"), integer("type", 1, 2), float("cutoff", 0, 100000), float("ripple", 0, 200), integer("poles", 2, 32),
	),
	"audiowsincband": audio(
		enum("mode", "band-pass", "band-reject"), float("lower-frequency", 0, 100000), float("upper-frequency", 0, 100000), integer("length", 3, 8191), sincWindow(),
	),
	"audiowsinclimit":   audio(enum("mode", "low-pass", "high-pass"), float("cutoff", 0, 100000), integer("length", 3, 8191), sincWindow()),
	"equalizer-3bands":  audio(bands(3)...),
	"equalizer-10bands": audio(bands(10)...),
	"freeverb":          audio(float("room-size", 0, 1), float("damping", 0, 1), float("width", 0, 1), float("level", 0, 1)),
	"stereo":            audio(boolean("active"), float("stereo", 0, 1)),
	"pitch":             heavy(0.1, audio(float("pitch", 0.1, 10))),
	"level":             audio(nanoseconds("interval", 1e6, 3600), nanoseconds("peak-ttl", 0, 3600), double("peak-falloff", 0, speed)),
	"audioconvert": audio(
		enum("dithering", "none", "rpdf", "tpdf", "tpdf-hf"), enum("noise-shaping", "none", "error-feedback", "simple", "medium", "high"),
		unsigned("dithering-threshold", 0, 32),
	),
	"audioresample": audio(integer("quality", 0, 10), enum("resample-method", "nearest", "linear", "cubic", "blackman-nuttall", "kaiser")),
}

func sincWindow() property {
	return enum("window", "hamming", "blackman", "gaussian", "cosine", "hann")
}

func bands(n int) (p []property) {
	for i := range n {
		p = append(p, double("band"+string(rune('0'+i)), -24, 12))
	}
	return p
}

// elsewhere says what to use instead of elements that people try.
var elsewhere = map[string]string{
	"gdkpixbufoverlay": "use an ImageOverlayFilter",
	"rsvgoverlay":      "use an ImageOverlayFilter",
	"faceoverlay":      "use a FaceOverlayFilter",
	"facedetect":       "use a FaceOverlayFilter",
	"zbar":             "use a ZBarFilter",
	"webrtcdsp":        "echo is cancelled where it arises, in the browser",
}
