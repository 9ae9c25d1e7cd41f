package studio

import (
	"context"
	"sync"

	"github.com/govidu/govidu/kms/client"
)

// Studio is one holder's share of a session's Director.
type Studio struct {
	stage *stage
	once  sync.Once
}

// Media is the node that composes.
func (s *Studio) Media() client.Client { return s.stage.media }

// Pipeline is the session's pipeline there, for what a view is connected to.
func (s *Studio) Pipeline() client.ID { return s.stage.pipeline }

// Lost says that the media node is gone, and with it every view.
func (s *Studio) Lost() bool { return s.stage.lost() }

// Missing are the streams that could not be taken in, and why.
func (s *Studio) Missing() map[string]string { return s.stage.notIn() }

// Close gives the share back; with the last one the Director ends. Views must have
// been closed before. It waits for the node until ctx ends; a second call does nothing.
func (s *Studio) Close(ctx context.Context) error {
	s.once.Do(func() {
		if s.stage.service.release(s.stage) {
			s.stage.end()
			s.stage.wait(ctx)
		}
	})
	return nil
}
