//go:build gst

package mediaworker

// filterElements are those that a GStreamerFilter may be: the table of
// elements/filters, which a test there compares, and nothing else is ever made
// for one.
var filterElements = []string{
	"agingtv", "alpha", "aspectratiocrop", "audioamplify", "audiochebband", "audiocheblimit", "audioconvert", "audiodynamic", "audioecho", "audioinvert",
	"audiokaraoke", "audiopanorama", "audioresample", "audiowsincband", "audiowsinclimit", "bulge", "burn", "capsfilter", "chromahold", "chromium",
	"circle", "clockoverlay", "coloreffects", "cvdilate", "cvequalizehist", "cverode", "cvlaplace", "deinterlace", "dicetv", "diffuse", "dilate",
	"dodge", "edgedetect", "edgetv", "equalizer-10bands", "equalizer-3bands", "exclusion", "fisheye", "freeverb", "gamma", "gaussianblur",
	"kaleidoscope", "level", "marble", "mirror", "optv", "pinch", "pitch", "quarktv", "radioactv", "revtv", "rippletv", "rotate", "shagadelictv",
	"skindetect", "smooth", "solarize", "sphere", "square", "stereo", "streaktv", "stretch", "textoverlay", "timeoverlay", "tunnel", "twirl",
	"vertigotv", "videobalance", "videobox", "videoconvert", "videocrop", "videodiff", "videoflip", "videomedian", "videorate", "videoscale", "volume",
	"warptv", "waterripple", "zebrastripe",
}

// otherElements are what our own filters need besides.
var otherElements = []string{"facedetect", "zbar"}
