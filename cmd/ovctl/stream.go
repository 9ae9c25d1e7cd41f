package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

type streamCmd struct {
	Layer streamLayer `cmd:"" help:"Show the layers of a stream and what a connection is sent of them; with --spatial and the like, bound that."`
}

// streamLayer shows and changes a wish. A flag that is not given is "any".
type streamLayer struct {
	Session    string `arg:"" help:"The session."`
	Connection string `arg:"" help:"The connection that receives."`
	Stream     string `arg:"" help:"The stream that it receives."`
	Spatial    *int   `placeholder:"N" help:"At most this spatial layer; 0 is the smallest picture."`
	Temporal   *int   `placeholder:"N" help:"At most this temporal layer; 0 has the fewest frames."`
	Width      *int   `placeholder:"PIXELS" help:"Width in which the video is shown."`
	Height     *int   `placeholder:"PIXELS" help:"Height in which the video is shown."`
	Auto       bool   `help:"No bound: whatever the bandwidth carries."`
}

type layerState struct {
	Preferred struct {
		Spatial  int `json:"spatialLayer"`
		Temporal int `json:"temporalLayer"`
		Width    int `json:"width"`
		Height   int `json:"height"`
	} `json:"preferred"`
	Current struct {
		Spatial  int `json:"spatialLayer"`
		Temporal int `json:"temporalLayer"`
	} `json:"current"`
	Layers []struct {
		Spatial   int     `json:"spatialLayer"`
		Temporal  int     `json:"temporalLayer"`
		RID       string  `json:"rid"`
		Width     int     `json:"width"`
		Height    int     `json:"height"`
		FrameRate float64 `json:"frameRate"`
		Bps       int     `json:"bps"`
		Active    bool    `json:"active"`
	} `json:"layers"`
}

func (c streamLayer) Run(e *env) error {
	path := "/sessions/" + url.PathEscape(c.Session) + "/connection/" + url.PathEscape(c.Connection) + "/layer/" + url.PathEscape(c.Stream)
	wish := map[string]any{}
	for name, v := range map[string]*int{"spatialLayer": c.Spatial, "temporalLayer": c.Temporal, "width": c.Width, "height": c.Height} {
		if v != nil {
			wish[name] = *v
		}
	}
	method, body := http.MethodGet, any(nil)
	if c.Auto && len(wish) > 0 {
		return errors.New("--auto goes with no other bound")
	}
	if c.Auto || len(wish) > 0 {
		method, body = http.MethodPut, wish
	}
	var s layerState
	if done, err := e.call(method, path, body, &s); done || err != nil {
		return err
	}
	bound := func(n, none int) string {
		if n == none {
			return "any"
		}
		return fmt.Sprint(n)
	}
	e.say("wished  spatial %s, temporal %s, width %s, height %s",
		bound(s.Preferred.Spatial, -1), bound(s.Preferred.Temporal, -1), bound(s.Preferred.Width, 0), bound(s.Preferred.Height, 0))
	if s.Current.Spatial < 0 {
		e.say("sent    nothing by layers")
	} else {
		e.say("sent    spatial %d, temporal %d", s.Current.Spatial, s.Current.Temporal)
	}
	if len(s.Layers) == 0 {
		return nil
	}
	var rows []string
	for _, l := range s.Layers {
		state := "comes"
		if !l.Active {
			state = "silent"
		}
		rows = append(rows, fmt.Sprintf("%d\t%d\t%s\t%dx%d\t%.0f\t%d\t%s", l.Spatial, l.Temporal, l.RID, l.Width, l.Height, l.FrameRate, l.Bps/1000, state))
	}
	e.table("SPATIAL\tTEMPORAL\tRID\tPICTURE\tFRAMES/S\tKBIT/S\tSTATE", rows)
	return nil
}
