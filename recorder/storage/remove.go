package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

func isNotFound(err error) bool { return gcerrors.Code(err) == gcerrors.NotFound }

// stepRemove keeps the promise of Delete.
func (u *Uploader) stepRemove(ctx context.Context, j *job) error {
	if err := u.deleteAll(ctx, u.key(j.id, "")); err != nil {
		return err
	}
	if err := u.root.Remove(goneName + j.id); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the promise to delete: %w", err)
	}
	return nil
}

// deleteAll deletes every object whose key begins with prefix.
func (u *Uploader) deleteAll(ctx context.Context, prefix string) error {
	list := u.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := within(ctx, u.opts.OpTimeout, list.Next)
		if err == io.EOF { // bare: a connection that was cut is an EOF, too, wrapped
			return nil
		}
		if err != nil {
			return fmt.Errorf("list bucket: %w", err)
		}
		if o.IsDir {
			continue
		}
		_, err = within(ctx, u.opts.OpTimeout, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, u.bucket.Delete(ctx, o.Key)
		})
		if err != nil && !isNotFound(err) {
			return fmt.Errorf("delete object: %w", err)
		}
	}
}

// within bounds one request.
func within[T any](ctx context.Context, d time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}
