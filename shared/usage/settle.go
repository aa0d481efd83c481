package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Settlement ends one entry.
type Settlement struct {
	Entry Entry
	// GiveBack returns the unit: the message is not counted under the entry's claim.
	GiveBack bool
}

// Settle removes entries from the ledger, in one write for MostAtOnce of them as long as nobody else holds one by now;
// those that are somebody else's are left alone. The gate is the caller's last view of it.
func (s *Store) Settle(ctx context.Context, g Gate, list []Settlement) error {
	for part := range slices.Chunk(distinct(list), MostAtOnce) {
		if err := s.settleAll(ctx, g, part); err != nil {
			return err
		}
	}
	return nil
}

// settleAll settles what one write can hold.
func (s *Store) settleAll(ctx context.Context, g Gate, list []Settlement) error {
	for range settleTries {
		if len(list) == 0 {
			return nil
		}
		_, err := s.settle(ctx, g, list)
		refused := new(Refused)
		if !errors.As(err, &refused) {
			return err
		}
		g = refused.Gate
		mine := list[:0:0]
		for _, st := range list {
			if e, ok := g.Entries[st.Entry.Message.Unique]; ok && e.Lease == st.Entry.Lease {
				mine = append(mine, st)
			}
		}
		list = mine
	}
	return fmt.Errorf("settle usage: the gate of %s changed %d times meanwhile", g.AccountID, settleTries)
}

// distinct leaves one settlement of each message: DynamoDB refuses an expression that names a path twice.
func distinct(list []Settlement) []Settlement {
	seen := make(map[string]bool, len(list))
	rest := list[:0:0]
	for _, st := range list {
		if !seen[st.Entry.Message.Unique] {
			seen[st.Entry.Message.Unique] = true
			rest = append(rest, st)
		}
	}
	return rest
}

// settle is one conditional write.
func (s *Store) settle(ctx context.Context, g Gate, list []Settlement) (Gate, error) {
	w := newWrite()
	var back, backPrevious int64
	giveBack := false
	for _, st := range list {
		lease, entry := w.ledger(st.Entry.Message)
		w.RemovePath(lease)
		w.RemovePath(entry)
		w.Require(lease + " = " + w.Value(num(st.Entry.Lease)))
		giveBack = giveBack || st.GiveBack && st.Entry.Counts()
		switch {
		case !st.GiveBack || !st.Entry.Counts():
		case st.Entry.period == mark(g.Period):
			back++
		case st.Entry.period == mark(g.Previous) && g.Previous != "":
			backPrevious++
		}
	}
	if giveBack { // also with an entry of neither period: then the view of the gate is old, and is refused here
		w.Require(w.Is(attrPeriod, "=", str(g.Period)))
	}
	if back > 0 {
		w.Increase(attrUsed, -back)
		w.Increase(attrRemaining, back)
	}
	if backPrevious > 0 {
		w.Increase(attrPrevUsed, -backPrevious)
		w.Require(w.Exists(attrPrev))
	}
	return s.update(ctx, g.AccountID, w)
}
