package wire

// The job "director" decodes each input once and shows it in any number of
// views: a picture of its own layout and a mix of its own, each a pair of raw
// ports (VideoPort, AudioPort). Everything about a view travels in one call, so
// that a replacement process is told the same again, and takes effect between
// two pictures: none shows half of a change.
const (
	KindDirector = "director"
	// MethodView takes View: the view as it shall be from the next picture on.
	MethodView = "view"
	// MethodNoView takes NameParams: the view ends, unknown names are no error.
	MethodNoView = "noview"
	// MethodPicture takes Picture: an image that views may show.
	MethodPicture = "picture"
	// MethodNoPicture takes NameParams: views show it no more.
	MethodNoPicture = "nopicture"
	// EventInput has InputData.
	EventInput = "input"
	// EventLevels has LevelsData, a few times a second while anything is heard.
	EventLevels = "levels"
	// StallAfterMs is how long a video input may bring no picture before it stalls.
	StallAfterMs = 2000
	// MaxFramerate is the highest rate of a view, in pictures per second.
	MaxFramerate = 120
)

// KindStill is the job that reads a media file (a descriptor sent with
// MethodStill) and gives one picture of it as JPEG.
const (
	KindStill   = "still"
	MethodStill = "still" // StillParams and a descriptor → StillResult
)

// DirectorParams begin the job. LatencyMs is how late a unit may come behind its
// PTS and still be seen and heard at its time: the views are that much behind.
type DirectorParams struct {
	LatencyMs int `json:"latencyMs"`
}

// View is one composed picture and one mix.
type View struct {
	Name string `json:"name"`
	// Width and Height in pixels, even; both 0 without a picture. They and
	// Framerate cannot change in the life of a view.
	Width     int    `json:"width,omitempty"`
	Height    int    `json:"height,omitempty"`
	Framerate int    `json:"framerate,omitempty"`
	Sound     bool   `json:"sound,omitempty"`
	Color     string `json:"color,omitempty"` // of the background, #rrggbb; black when empty
	Backdrop  string `json:"backdrop,omitempty"`
	Tiles     []Tile `json:"tiles,omitempty"`
	// Overlays lie over all tiles, the first lowest.
	Overlays []Overlay `json:"overlays,omitempty"`
	// Hears are the audio inputs that are mixed; All is every one there is.
	Hears []string `json:"hears,omitempty"`
	All   bool     `json:"all,omitempty"`
}

// Tile is the place of a video input, or of a picture, in pixels of the view;
// the corner and the sides are even. What has brought no picture yet shows the
// background. Tiles with a higher Z lie over others; of the same Z the later.
type Tile struct {
	Input   string `json:"input,omitempty"`
	Picture string `json:"picture,omitempty"`
	X       int    `json:"x"`
	Y       int    `json:"y"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Z       int    `json:"z,omitempty"`
	// Cover fills the place and cuts off what hangs over; otherwise the whole
	// picture is shown in the middle of its place, and the rest is background.
	Cover bool `json:"cover,omitempty"`
}

// Overlay is a picture drawn over the view, in its own size, with its alpha.
type Overlay struct {
	Picture string `json:"picture"`
	X       int    `json:"x"`
	Y       int    `json:"y"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
}

// Picture is an image as PNG or JPEG, at most 2 MiB.
type Picture struct {
	Name  string `json:"name"`
	Image []byte `json:"image"`
}

// InputData tells that a video input brings pictures (again), of another size, or
// has brought none for StallAfterMs (Flowing false).
type InputData struct {
	Input   string `json:"input"`
	Flowing bool   `json:"flowing"`
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
}

// LevelsData tells how loud audio inputs were since the last event, in decibels
// below the loudest there is: 0 to Silence. Inputs that brought nothing are absent.
type LevelsData struct {
	Levels map[string]int `json:"levels"`
}

// Silence is the level of what cannot be heard, as in RFC 6464.
const Silence = 127

// StillParams ask for a picture at AtMs of the file, or, when it is negative, in
// the middle, Width pixels wide (0: as it is) in its own proportions.
type StillParams struct {
	AtMs  int64 `json:"atMs"`
	Width int   `json:"width,omitempty"`
}

// StillResult is the picture as JPEG.
type StillResult struct {
	Image  []byte `json:"image"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// VideoPort and AudioPort name the raw ports of a view.
func VideoPort(view string) string { return "video:" + view }

// AudioPort names the raw audio port of a view.
func AudioPort(view string) string { return "audio:" + view }
