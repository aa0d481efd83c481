// Package pace knows how fast messages may go to a provider that bounds what it takes: of all accounts together, or of one
// sender. Each such bound has one item; taking a slot is one conditional write of it, so the bound holds at any concurrency.
//
// Where many wait for one sender, they line up: a place in the line is one write, and says when to come back. So whoever waits
// does not try again and again.
package pace

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/usage"
)

// Items: pk "provider#<provider id>" or "provider#<provider id>#<channel id>", sk "rate". They lie in the table of the gates,
// whose keys are account ids. Once idle they are of no use, and their time to live ends.
const (
	attrPK  = "pk"
	attrSK  = "sk"
	attrAt  = "t" // when the next slot is free, in microseconds
	attrTTL = "ttl"
	// attrLine, with the interval in microseconds, is the last place that was given in the line of single messages, attrBatchLine in that of
	// messages that came in batches. Another rate begins other lines.
	attrLine      = "l"
	attrBatchLine = "b"

	prefix   = "provider#"
	rateSort = "rate"
	tries    = 4
	keep     = 7 * 24 * time.Hour
	// maxSeen bounds what a process remembers.
	maxSeen = 10_000
)

// Guard is how long after its slot a call may leave. Slots lie so far apart that the bound holds all the same.
const Guard = 200 * time.Millisecond

// Rate is a bound: never more than Limit messages in any Window. Burst of them may go at once after a pause; what
// they take at once is missing afterwards: Limit-Burst+1 of each window are left for a steady stream.
type Rate struct {
	Limit  int64
	Window time.Duration
	Burst  int64
}

// interval is the time between two slots. A burst and the slots that follow it within a window, with the guard on both
// sides, are Limit together.
func (r Rate) interval() time.Duration {
	n := max(r.Limit-max(r.Burst, 1)+1, 1)
	us := ((r.Window + Guard).Microseconds() + n - 1) / n
	return time.Duration(us) * time.Microsecond
}

// credit is how much of the time before now may still be used: the slots of a burst.
func (r Rate) credit() time.Duration { return time.Duration(max(r.Burst, 1)-1) * r.interval() }

// Subject is what has a pace of its own: a provider, or (ChannelID not "") one of its channels' senders.
type Subject struct{ ProviderID, ChannelID string }

func (s Subject) key() attr.Item {
	pk := prefix + s.ProviderID
	if s.ChannelID != "" {
		pk += "#" + s.ChannelID
	}
	return attr.Item{attrPK: attr.String(pk), attrSK: attr.String(rateSort)}
}

// DynamoDB is what the store needs of the AWS client.
type DynamoDB interface {
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Store keeps slots and lines. Make one per process: it remembers what it saw, which spares requests that would be refused.
type Store struct {
	DB    DynamoDB
	Table string
	Now   func() time.Time

	mu   sync.Mutex
	seen map[Subject]state
}

// state is a subject's item. All its times only ever grow, so what was seen of them is their least.
type state struct {
	free        time.Time // the next slot
	line, batch time.Time // the last place in the line of single messages, and in that of batches
	interval    time.Duration
}

// behind is the last place in the line that messages of a batch, or single ones, stand in.
func (st state) behind(batch bool) time.Time {
	if batch {
		return st.batch
	}
	return st.line
}

func (s *Store) known(of Subject, r Rate) state {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.seen[of]
	if st.interval != r.interval() {
		st.line, st.batch = time.Time{}, time.Time{}
	}
	return st
}

func (s *Store) remember(of Subject, st state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= maxSeen {
		s.seen = map[Subject]state{}
	}
	if before := s.seen[of]; before.interval == st.interval { // answers may come in another order than they were made
		st.free, st.line, st.batch = later(before.free, st.free), later(before.line, st.line), later(before.batch, st.batch)
	}
	s.seen[of] = st
}

// Take takes the next slot, if it is free within the horizon, and says when it begins: the call may leave from then until
// Guard later. Else taken is false, and at says when a slot is free at the earliest. Who did not wait yet goes behind the line,
// where there is one; messages of batches behind both lines. One request; none when it is known that it would be refused; two after a
// pause in which others took slots.
func (s *Store) Take(ctx context.Context, of Subject, r Rate, horizon time.Duration, turn usage.Turn) (at time.Time, taken bool, err error) {
	interval := r.interval()
	for range tries {
		now, known := s.Now(), s.known(of, r)
		idle, latest := now.Add(-r.credit()), now.Add(horizon)
		switch {
		case known.free.After(latest):
			return known.free, false, nil
		case !turn.Waited && known.line.After(latest):
			return known.line, false, nil
		case !turn.Waited && turn.Batch && known.batch.After(latest):
			return known.batch, false, nil
		}
		u := new(attr.Update)
		if known.free.Before(idle) {
			u.Set(attrAt, micro(idle.Add(interval)))
			u.Require(u.AbsentOr(attrAt, "<", micro(idle)))
		} else { // in demand, as far as is known
			u.Increase(attrAt, interval.Microseconds())
			u.Require(u.Is(attrAt, ">=", micro(idle)), u.Is(attrAt, "<=", micro(latest)))
		}
		if !turn.Waited {
			u.Require(u.AbsentOr(lineOf(r, false), "<=", micro(latest)))
			if turn.Batch {
				u.Require(u.AbsentOr(lineOf(r, true), "<=", micro(latest)))
			}
		}
		st, applied, err := s.write(ctx, of, r, u)
		if err != nil {
			return time.Time{}, false, err
		}
		if applied {
			return later(now, st.free.Add(-interval)), true, nil
		}
	}
	return s.Now().Add(horizon), false, nil // it went back and forth between idle and busy, which only a clock that jumps explains
}

// Line gives the next place in the line, of batches or of single messages: when to come back and Take, as one who waited. One request; two
// when the line was empty.
func (s *Store) Line(ctx context.Context, of Subject, r Rate, batch bool) (time.Time, error) {
	line := lineOf(r, batch)
	for range tries {
		known := s.known(of, r)
		from := later(s.Now(), known.free)
		u := new(attr.Update)
		if known.behind(batch).Before(from) {
			u.Set(line, micro(from))
			u.Require(u.AbsentOr(line, "<", micro(from)))
		} else {
			u.Increase(line, r.interval().Microseconds())
			u.Require(u.Is(line, ">=", micro(from)))
		}
		st, applied, err := s.write(ctx, of, r, u)
		if err != nil {
			return time.Time{}, err
		}
		if applied {
			return st.behind(batch), nil
		}
	}
	return later(s.Now(), s.known(of, r).behind(batch)), nil // somebody is faster every time; that is a place as good as any
}

func lineOf(r Rate, batch bool) string {
	line := attrLine
	if batch {
		line = attrBatchLine
	}
	return line + strconv.FormatInt(r.interval().Microseconds(), 10)
}

func micro(t time.Time) types.AttributeValue { return attr.Int(t.UnixMicro()) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// write makes one conditional write, and remembers the item as it is now.
func (s *Store) write(ctx context.Context, of Subject, r Rate, u *attr.Update) (st state, applied bool, err error) {
	u.Set(attrTTL, attr.Int(s.Now().Add(keep).Unix()))
	item, applied, err := u.Apply(ctx, s.DB, s.Table, of.key())
	if err != nil {
		return state{}, false, fmt.Errorf("pace of provider %s: %w", of.ProviderID, err)
	}
	st = state{free: moment(item, attrAt), line: moment(item, lineOf(r, false)), batch: moment(item, lineOf(r, true)), interval: r.interval()}
	s.remember(of, st)
	return st, applied, nil
}

// moment reads a time; the zero time when there is none.
func moment(it attr.Item, name string) time.Time {
	if it[name] == nil {
		return time.Time{}
	}
	return time.UnixMicro(attr.Number(it, name)).UTC()
}
