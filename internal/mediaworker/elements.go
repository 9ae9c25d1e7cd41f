//go:build gst

package mediaworker

// filterElements are those that filters may ask for; ReadyData says which exist.
var filterElements = []string{
	"videoflip", "videobalance", "gamma", "edgetv", "agingtv", "radioactv", "warptv", "rippletv", "quarktv", "revtv", "shagadelictv", "streaktv", "vertigotv", "dicetv", "optv",
	"coloreffects", "burn", "chromium", "dilate", "dodge", "exclusion", "solarize", "gaussianblur",
	"circle", "kaleidoscope", "marble", "pinch", "rotate", "sphere", "twirl", "waterripple", "stretch", "bulge", "tunnel", "square", "mirror", "fisheye", "perspective", "diffuse",
	"textoverlay", "clockoverlay", "timeoverlay", "gdkpixbufoverlay", "cairooverlay", "alpha", "chromahold", "videocrop", "videobox", "aspectratiocrop", "videoscale", "videoconvert", "videorate", "videomedian", "capsfilter", "queue", "identity",
	"faceoverlay", "facedetect", "faceblur", "zbar", "opencvtextoverlay", "cvsobel", "cvsmooth", "cvlaplace", "cvdilate", "cverode", "edgedetect", "retinex", "grabcut", "motioncells", "handdetect", "compositor",
	"volume", "equalizer-3bands", "equalizer-10bands", "audioecho", "audioamplify", "audiodynamic", "audiopanorama", "audioinvert", "audiokaraoke", "audiowsinclimit", "audiocheblimit", "freeverb", "pitch", "level", "audioconvert", "audioresample", "audiomixer",
}
