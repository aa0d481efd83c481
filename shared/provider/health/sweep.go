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
		return s.reconcile(ctx, of, state)
	}
	_, applied, err := s.Store.Calmed(ctx, of, st, since)
	if applied {
		s.Log.InfoContext(ctx, "provider health changed", "subject", of.Kind, "id", of.ID, "state", string(Operational), "since", since)
		s.Changed.tell(ctx, of, Operational, since)
	}
	return err
}

const (
	// settled is how old the last change must be for reconcile to doubt it: whoever has just changed a state is still about to note it.
	settled = 15 * time.Second
	// missed is how far back a change that was not noted may lie for its time to be taken from the state.
	missed = time.Hour
)

// reconcile notes what nobody else noted: a change whose process died before it did, and an outage that lapsed because nobody calls. One request;
// two more and a write where there is something to note.
func (s *Sweep) reconcile(ctx context.Context, of Subject, state State) error {
	now := s.Now()
	last, err := s.Store.LastChange(ctx, of, now.Add(settled), false)
	if err != nil || last.is(state) || now.Sub(last.At) < settled {
		return err
	}
	// What was read may be a moment old: only what is so now is noted.
	st, err := s.Store.status(ctx, of)
	if err != nil {
		return err
	}
	state, since := st.Shown(now)
	if last, err = s.Store.LastChange(ctx, of, now.Add(settled), true); err != nil || last.is(state) || now.Sub(last.At) < settled {
		return err
	}
	if !since.After(last.At) || now.Sub(since) > missed {
		since = now
	}
	return s.Store.Note(ctx, of, Change{State: state, At: since})
}
