package layout

// Names of layouts. The first five are the contract's (§7.1); Speaker and
// Portrait are ours.
const (
	BestFit                = "BEST_FIT"
	PictureInPicture       = "PICTURE_IN_PICTURE"
	VerticalPresentation   = "VERTICAL_PRESENTATION"
	HorizontalPresentation = "HORIZONTAL_PRESENTATION"
	Custom                 = "CUSTOM"
	Speaker                = "SPEAKER"
	Portrait               = "PORTRAIT"
)

// Spec describes a layout as JSON. The zero value is BEST_FIT on black with names.
// Fractions are of the canvas, 0 to 1.
type Spec struct {
	Layout     string      `json:"layout,omitempty"`
	Background *Background `json:"background,omitempty"`
	Logo       *Logo       `json:"logo,omitempty"`
	// Names shows each participant's name in its tile; nil is true.
	Names *bool `json:"names,omitempty"`
	// Fit is "contain" (the whole picture, the default) or "cover".
	Fit string `json:"fit,omitempty"`
	// Focus is the stream id (or connection id) that presentation layouts show
	// big; empty: the first shared screen, else who published first.
	Focus string `json:"focus,omitempty"`
	// Tiles are the places of CUSTOM, filled in order; Rest is where all others go.
	Tiles []TileSpec `json:"tiles,omitempty"`
	Rest  *Region    `json:"rest,omitempty"`
	// Audio are the stream or connection ids that are heard; nil is everybody.
	Audio []string `json:"audio,omitempty"`
}

// Background is a colour (#rrggbb) and, over it, an image that fills the canvas.
type Background struct {
	Color string `json:"color,omitempty"`
	Image string `json:"image,omitempty"` // data:, http(s) or file: URL, PNG or JPEG; REST also takes a file below the layouts folder
}

// Logo is an image over everything; its height follows from its proportions.
type Logo struct {
	Image string  `json:"image"`
	X     float64 `json:"x"`
	Y     float64 `json:"y"`
	Width float64 `json:"width"`
}

// TileSpec is a place for one source, the first that Match takes and that no
// earlier place has.
type TileSpec struct {
	Match  Match   `json:"match,omitzero"`
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Z      int     `json:"z,omitempty"`
	Fit    string  `json:"fit,omitempty"`
	Name   *bool   `json:"name,omitempty"`
}

// Match names who a place is for; empty fields take anybody.
type Match struct {
	StreamID     string `json:"streamId,omitempty"`
	ConnectionID string `json:"connectionId,omitempty"`
	TypeOfVideo  string `json:"typeOfVideo,omitempty"` // CAMERA, SCREEN, CUSTOM, IPCAM
	// Name is the participant's shown name.
	Name string `json:"name,omitempty"`
	// Index is the source's number by time of publishing, from 1.
	Index int `json:"index,omitempty"`
}

// Region is a part of the canvas with a layout of its own.
type Region struct {
	Layout string  `json:"layout,omitempty"`
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Z      int     `json:"z,omitempty"`
}

// Source is a stream that may be shown.
type Source struct {
	ID           string // stream id
	ConnectionID string
	TypeOfVideo  string
	Name         string
	// Width and Height of its picture, 0 while unknown.
	Width, Height int
	// Big is OpenVidu's own mark of a stream to be shown large (OV_big).
	Big bool
	// Speaking is true for the source that spoke last.
	Speaking bool
}

// Tile is the place of a source in pixels; all four are even.
type Tile struct {
	ID                  string
	X, Y, Width, Height int
	Z                   int
	Cover               bool
	Name                bool // its name is shown
}
