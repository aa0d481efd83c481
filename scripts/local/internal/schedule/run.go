package schedule

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Schedule is one schedule of a function.
type Schedule struct {
	Name       string
	Expression Expression
	// Input is what the function is handed, with the Scheduler's <aws.scheduler.…> attributes filled in. Empty: the
	// Scheduler's own event.
	Input             string
	Region, AccountID string
	// Function invokes the function.
	Function func(ctx context.Context, event []byte) ([]byte, error)
	// Failed is told of an invocation that failed; it may be nil.
	Failed func(err error)
}

// Run invokes the function whenever it is due, until the context ends or the schedule has no time left. One that
// overruns its next time is not invoked twice at once.
func (s *Schedule) Run(ctx context.Context) {
	due := s.Expression.Next(time.Now())
	for !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if _, err := s.Function(ctx, s.event(due)); err != nil && s.Failed != nil && ctx.Err() == nil {
			s.Failed(err)
		}
		due = s.Expression.Next(later(due, time.Now()))
	}
}

// later keeps a schedule in step with its own times, unless they have been missed.
func later(due, now time.Time) time.Time {
	if now.Sub(due) < time.Minute {
		return due
	}
	return now
}

func (s *Schedule) event(due time.Time) []byte {
	arn := fmt.Sprintf("arn:aws:scheduler:%s:%s:schedule/default/%s", s.Region, s.AccountID, s.Name)
	at := due.UTC().Format(time.RFC3339)
	if s.Input != "" {
		return []byte(strings.NewReplacer(
			"<aws.scheduler.schedule-arn>", arn, "<aws.scheduler.scheduled-time>", at,
			"<aws.scheduler.execution-id>", rand.Text(), "<aws.scheduler.attempt-number>", "1",
		).Replace(s.Input))
	}
	// Texts always marshal.
	event, _ := json.Marshal(map[string]any{
		"version": "0", "id": rand.Text(), "detail-type": "Scheduled Event", "source": "aws.scheduler",
		"account": s.AccountID, "time": at, "region": s.Region, "resources": []string{arn}, "detail": "{}",
	})
	return event
}
