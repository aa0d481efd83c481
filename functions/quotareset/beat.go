package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"contactcenter/shared/account"
)

// Pulse notes of each whole sweep whether what the Contact Center stands on answered: that is what the monthly report knows of the platform.
type Pulse struct {
	Beats interface {
		Good(ctx context.Context, now time.Time, every time.Duration) error
		Failed(ctx context.Context, now time.Time) error
	}
	// Looks are at what a sweep does not touch when nothing is due.
	Looks []func(ctx context.Context) error
	// Every is how often the schedule sweeps.
	Every time.Duration
	Now   func() time.Time
}

// look looks at what the sweep does not.
func (p *Pulse) look(ctx context.Context) error {
	var errs []error
	for _, look := range p.Looks {
		errs = append(errs, look(ctx))
	}
	return errors.Join(errs...)
}

// note notes what came of a sweep: one write.
func (p *Pulse) note(ctx context.Context, swept error) error {
	if swept != nil {
		return p.Beats.Failed(ctx, p.Now())
	}
	return p.Beats.Good(ctx, p.Now(), p.Every)
}

// planAnswers looks at the table of accounts. That there is no such plan is an answer.
func planAnswers(accounts *account.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := accounts.Plan(ctx, accounts.DefaultPlanID); err != nil && !errors.Is(err, account.ErrPlanNotFound) {
			return err
		}
		return nil
	}
}

// queueAnswers looks at the dispatch queue.
func queueAnswers(client interface {
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		in := &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages}}
		if _, err := client.GetQueueAttributes(ctx, in); err != nil {
			return fmt.Errorf("look at the dispatch queue: %w", err)
		}
		return nil
	}
}

// every reads how often the schedule sweeps: "rate(1 minute)", as EventBridge writes it.
func every(rate string) (time.Duration, error) {
	parts := regexp.MustCompile(`^rate\(([1-9][0-9]{0,3}) (minute|hour|day)s?\)$`).FindStringSubmatch(rate)
	if parts == nil {
		return 0, fmt.Errorf("SWEEP_RATE: %q is not like rate(1 minute)", rate)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("SWEEP_RATE: %w", err)
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	return time.Duration(n) * units[parts[2]], nil
}
