package rp

import (
	"context"
	"log/slog"
)

// SlogHandler adds to every record that is logged with the context of an impersonated request who is acting as whom:
// actor, subject and impersonation (the session's id), all as ids. Wrap the app's own handler in it once.
func SlogHandler(h slog.Handler) slog.Handler { return logging{h} }

type logging struct{ slog.Handler }

func (l logging) Handle(ctx context.Context, r slog.Record) error {
	if s, ok := FromContext(ctx); ok {
		r = r.Clone()
		r.AddAttrs(slog.String("actor", s.Actor.Subject), slog.String("subject", s.Subject.Subject), slog.String("impersonation", s.ID))
	}
	return l.Handler.Handle(ctx, r)
}

func (l logging) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logging{l.Handler.WithAttrs(attrs)}
}
func (l logging) WithGroup(name string) slog.Handler { return logging{l.Handler.WithGroup(name)} }
