package health

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Sweep records what nobody else does: that providers are operational again to which nothing is sent any more.
type Sweep struct {
	Store *Store
	// Providers gives the ids of all.
	Providers func(ctx context.Context) ([]string, error)
	Now       func() time.Time
	Log       *slog.Logger
	// Changed is told of a change of health, once for each; nil: nobody is.
	Changed Changed
}

// Run looks at each provider once: one request, and a write where its state has lapsed. It begins nothing when work has ended; the next
// run does the rest.
func (s *Sweep) Run(ctx, work context.Context) error {
	if work.Err() != nil {
		return nil
	}
	ids, err := s.Providers(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if work.Err() != nil {
			break
		}
		errs = append(errs, s.look(ctx, OfProvider(id)))
	}
	return errors.Join(errs...)
}

func (s *Sweep) look(ctx context.Context, of Subject) error {
	now := s.Now()
	_, st, err := s.Store.Read(ctx, of, now)
	if err != nil {
		return err
	}
	state, since := st.Shown(now)
	if st.State != Degraded || state != Operational {
		return nil
	}
	_, applied, err := s.Store.Calmed(ctx, of, st, since)
	if applied {
		s.Log.InfoContext(ctx, "provider health changed", "subject", of.Kind, "id", of.ID, "state", string(Operational), "since", since)
		s.Changed.tell(ctx, of, Operational, since)
	}
	return err
}
