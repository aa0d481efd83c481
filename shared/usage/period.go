package usage

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Bring makes terms hold for an account's gate. An account that sent nothing yet has none; one that is restricted, or lists
// countries, gets it now, so that this holds at once. Two requests, more when the gate changes meanwhile.
func (s *Store) Bring(ctx context.Context, accountID string, terms Terms) error {
	gate, err := s.Read(ctx, accountID, true)
	for range bringTries {
		if errors.Is(err, ErrNoGate) && terms.Restricted() {
			if err := s.Create(ctx, accountID, terms); err != nil {
				return err
			}
			gate, err = s.Read(ctx, accountID, true)
			continue
		}
		if errors.Is(err, ErrNoGate) || err == nil && gate.Version == terms.Version {
			return nil
		}
		if err != nil {
			return err
		}
		after, adoptErr := s.AdoptTerms(ctx, gate, terms)
		refused := new(Refused)
		if errors.As(adoptErr, &refused) {
			gate = refused.Gate
			continue
		}
		gate, err = after, adoptErr
	}
	return fmt.Errorf("bring terms to a gate: it changed %d times meanwhile", bringTries)
}

// AdoptTerms makes other terms hold for a gate; what was used stays used. It is refused when the gate's terms are no
// longer those that the caller saw.
func (s *Store) AdoptTerms(ctx context.Context, g Gate, terms Terms) (Gate, error) {
	w := newWrite()
	w.terms(terms)
	w.Increase(attrRemaining, terms.Limit-g.Limit)
	before := restrictions(g.Version)
	due, known := DueTime(g.Due)
	switch {
	case terms.Limit > g.Limit, before != "" && before != restrictions(terms.Version):
		w.Set(attrDue, str(dueText(s.Now()))) // there is room for held messages now, or may be
	case known && terms.before(due).Before(due):
		w.Set(attrDue, str(dueText(terms.Changes))) // a restriction ends then
	}
	w.Require(w.Is(attrVersion, "=", str(g.Version)), w.Is(attrLimit, "=", num(g.Limit)))
	return s.update(ctx, g.AccountID, w)
}

// Roll closes the gate's period and opens the one that now lies in; it does nothing when that is the same. It is refused
// when somebody else did.
func (s *Store) Roll(ctx context.Context, g Gate, terms Terms) (Gate, error) {
	if g.Previous != "" {
		return g, ErrPreviousOpen
	}
	now := s.Now()
	period := terms.Kind.Period(now)
	if period == g.Period {
		return g, nil
	}
	w := newWrite()
	w.Assign(w.Name(attrPrevUsed), w.Name(attrUsed))
	w.moveReached(g.Reached)
	w.Set(attrPrev, str(g.Period))
	w.Set(attrPeriod, str(period))
	w.terms(terms)
	w.Set(attrRemaining, num(terms.Limit))
	w.Set(attrUsed, num(0))
	w.Set(attrDue, str(dueText(now))) // the closed period is to be exported, and held messages have room
	w.Require(w.Is(attrPeriod, "=", str(g.Period)), w.Absent(attrPrev))
	return s.update(ctx, g.AccountID, w)
}

// OpenEntries are the entries of the closed period that stand between it and its export.
func (g Gate) OpenEntries() []Entry {
	var list []Entry
	for _, e := range g.Entries {
		if g.Previous != "" && e.period == mark(g.Previous) {
			list = append(list, e)
		}
	}
	return list
}

// Export writes the closed period's count to an item of its own and frees its place on the gate: two requests. It
// returns ErrPreviousOpen while entries of that period are unsettled.
func (s *Store) Export(ctx context.Context, g Gate) (Gate, error) {
	if g.Entries == nil { // a view without its ledger can't tell whether the count is final
		full, err := s.Read(ctx, g.AccountID, true)
		if err != nil {
			return g, err
		}
		g = full
	}
	if g.Previous == "" {
		return g, nil
	}
	if len(g.OpenEntries()) > 0 {
		return g, ErrPreviousOpen
	}
	it := item{
		attrPK: str(g.AccountID), attrSK: str(periodPrefix + g.Previous), attrUsed: num(g.PreviousUsed), "closed_at": str(dueText(s.Now())),
	}
	if at := g.PreviousReached.Near; !at.IsZero() {
		it[attrNear] = num(at.UnixMilli())
	}
	if at := g.PreviousReached.Full; !at.IsZero() {
		it[attrFull] = num(at.UnixMilli())
	}
	_, err := s.DB.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.Table, Item: it})
	if err != nil {
		return g, fmt.Errorf("export period %s: %w", g.Previous, err)
	}
	w := newWrite()
	w.Remove(attrPrev, attrPrevUsed, attrPrevNear, attrPrevFull)
	w.Require(w.Is(attrPrev, "=", str(g.Previous)), w.Is(attrPrevUsed, "=", num(g.PreviousUsed)))
	return s.update(ctx, g.AccountID, w)
}

// ClosedPeriod gives what an exported period counted, or ErrNoGate when it was not exported.
func (s *Store) ClosedPeriod(ctx context.Context, accountID, period string) (int64, error) {
	used, _, err := s.closed(ctx, accountID, period)
	return used, err
}

// ClosedReached gives which thresholds an exported period reached, or ErrNoGate when it was not exported.
func (s *Store) ClosedReached(ctx context.Context, accountID, period string) (Reached, error) {
	_, at, err := s.closed(ctx, accountID, period)
	return at, err
}

func (s *Store) closed(ctx context.Context, accountID, period string) (int64, Reached, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Table, Key: item{attrPK: str(accountID), attrSK: str(periodPrefix + period)}, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return 0, Reached{}, fmt.Errorf("read closed period: %w", err)
	}
	if len(out.Item) == 0 {
		return 0, Reached{}, ErrNoGate
	}
	return number(out.Item[attrUsed]), reached(out.Item, attrNear, attrFull), nil
}

// Cross notes on the gate that it crossed a threshold: each once in a period, whoever comes first. It reports which of
// them this call noted. It costs a request only when the gate, as the caller saw it, stands above one that is not noted.
func (s *Store) Cross(ctx context.Context, g Gate) (near, full bool, err error) {
	wantNear, wantFull := g.Crossed()
	note := func(want bool, attr string, over Gate) (bool, error) {
		if !want {
			return false, nil
		}
		w := newWrite()
		w.Set(attr, num(s.Now().UnixMilli()))
		w.Require(w.Is(attrPeriod, "=", str(over.Period)), w.Absent(attr))
		_, err := s.update(ctx, over.AccountID, w)
		if refused := new(Refused); errors.As(err, &refused) {
			return false, nil // somebody else noted it, or the period is over
		}
		return err == nil, err
	}
	near, err = note(wantNear, attrNear, g)
	if err == nil {
		full, err = note(wantFull, attrFull, g)
	}
	return near, full, err
}
