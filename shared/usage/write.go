package usage

import (
	"time"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

// write is one conditional update of a gate.
type write struct{ attr.Update }

func newWrite() *write {
	w := new(write)
	w.Require(w.Exists(attrPK))
	return w
}

// terms makes terms hold. Block and version go together, so that whoever names the version knows of the block.
func (w *write) terms(t Terms) {
	w.Set(attrPlan, str(t.PlanID))
	w.Set(attrVersion, str(t.Version))
	w.Set(attrLimit, num(t.Limit))
	if t.Blocked {
		w.Set(attrBlocked, num(1))
	} else {
		w.Remove(attrBlocked)
	}
}

// moveReached moves the thresholds of a period that is closed, which are those that the caller saw.
func (w *write) moveReached(r Reached) {
	for _, m := range []struct {
		now, then string
		at        time.Time
	}{{attrNear, attrPrevNear, r.Near}, {attrFull, attrPrevFull, r.Full}} {
		if m.at.IsZero() {
			w.Require(w.Absent(m.now))
			continue
		}
		w.Assign(w.Name(m.then), w.Name(m.now))
		w.Remove(m.now)
		w.Require(w.Exists(m.now))
	}
}

// lease gives the ledger's entry at a path a lease: the nth that the gate's own sequence gives in this write.
func (w *write) lease(path string, n int64) {
	w.Assign(path, w.Name(attrSeq)+" + "+w.Value(num(n)))
}

// advance moves the gate's sequence. It comes after the leases that are taken from the sequence, for engines that go
// through the list in order.
func (w *write) advance(n int64) { w.Increase(attrSeq, n) }

// take takes n units of the period that g is in, on condition that they are left and the account may send.
func (w *write) take(terms Terms, g Gate, n int64) {
	w.Increase(attrRemaining, -n)
	w.Increase(attrUsed, n)
	w.Require(
		w.Is(attrPeriod, "=", str(g.Period)),
		w.Is(attrVersion, "=", str(terms.Version)),
		w.Is(attrRemaining, ">=", num(n)),
		w.Absent(attrBlocked))
}

// ledger gives the two paths of a message's entry.
func (w *write) ledger(m id.Message) (lease, entry string) {
	key := w.Key(m.Unique)
	return w.Name(attrLeases) + "." + key, w.Name(attrEntries) + "." + key
}

// claim adds a ledger entry for each message, under leases that the gate's own sequence gives. Bound is the size of
// the ledger; 0 leaves it open, for claims that end a message.
func (w *write) claim(messages []id.Message, nonce uint32, now time.Time, period uint16, bound int) error {
	if bound > 0 {
		w.Require("size(" + w.Name(attrLeases) + ") <= " + w.Value(num(int64(bound-len(messages)))))
	}
	for i, m := range messages {
		packed, err := pack(Entry{Message: m, Nonce: nonce, Expires: expiry(now), period: period})
		if err != nil {
			return err
		}
		lease, entry := w.ledger(m)
		w.lease(lease, int64(i+1))
		w.Assign(entry, w.Value(packed))
		w.Require("attribute_not_exists(" + lease + ")")
	}
	w.advance(int64(len(messages)))
	return nil
}

// rate moves the theoretical arrival time by n messages, on condition that the burst allows it. Expressions know no
// maximum, so there is one form for a gate that was idle and one for a gate at work.
func (w *write) rate(r Rate, g Gate, now time.Time, n int64, turn Turn) {
	if r.Limit <= 0 {
		return
	}
	t := r.interval().Microseconds()
	at := num(now.UnixMicro())
	if g.NextFree.After(now) {
		w.Increase(attrTAT, n*t)
		w.Require(w.Is(attrTAT, ">", at), w.Is(attrTAT, "<=", num(now.UnixMicro()+(r.Burst-n)*t)))
	} else {
		w.Set(attrTAT, num(now.UnixMicro()+n*t))
		w.Require(w.Is(attrTAT, "<=", at))
	}
	if !turn.Waited {
		w.Require(w.Is(attrLine, "<=", at))
		if turn.Batch {
			w.Require(w.AbsentOr(attrBatchLine, "<=", at))
		}
	}
}
