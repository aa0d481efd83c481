package usage

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/id"
)

// write collects one update expression of a gate.
type write struct {
	sets, removes, conditions []string
	names                     map[string]string
	values                    item
	ledgerNames               int
}

func newWrite() *write {
	return &write{names: map[string]string{"#pk": attrPK}, values: item{}, conditions: []string{"attribute_exists(#pk)"}}
}

func (w *write) name(attr string) string {
	w.names["#"+attr] = attr
	return "#" + attr
}

func (w *write) value(name string, v types.AttributeValue) string {
	w.values[":"+name] = v
	return ":" + name
}

func (w *write) set(attr string, v types.AttributeValue) {
	w.sets = append(w.sets, w.name(attr)+" = "+w.value("new"+attr, v))
}

// terms makes terms hold. Block and version go together, so that whoever names the version knows of the block.
func (w *write) terms(t Terms) {
	w.set(attrPlan, str(t.PlanID))
	w.set(attrVersion, str(t.Version))
	w.set(attrLimit, num(t.Limit))
	if t.Blocked {
		w.set(attrBlocked, num(1))
	} else {
		w.removes = append(w.removes, w.name(attrBlocked))
	}
}

// moveReached moves the thresholds of a period that is closed, which are those that the caller saw.
func (w *write) moveReached(r Reached) {
	for _, m := range []struct {
		now, then string
		at        time.Time
	}{{attrNear, attrPrevNear, r.Near}, {attrFull, attrPrevFull, r.Full}} {
		if m.at.IsZero() {
			w.conditions = append(w.conditions, fmt.Sprintf("attribute_not_exists(%s)", w.name(m.now)))
			continue
		}
		w.sets = append(w.sets, fmt.Sprintf("%s = %s", w.name(m.then), w.name(m.now)))
		w.removes = append(w.removes, w.name(m.now))
		w.conditions = append(w.conditions, fmt.Sprintf("attribute_exists(%s)", w.name(m.now)))
	}
}

// advance moves the gate's sequence. It comes after the leases that are taken from the sequence: DynamoDB gives every
// right-hand side the item as it was before, but engines exist that go through the list in order.
func (w *write) advance(n int64) {
	w.sets = append(w.sets, fmt.Sprintf("%s = %s + %s", w.name(attrSeq), w.name(attrSeq), w.value("seq", num(n))))
}

// take takes n units of the period that g is in, on condition that they are left and the account may send.
func (w *write) take(terms Terms, g Gate, n int64) {
	w.sets = append(w.sets,
		fmt.Sprintf("%s = %s - %s", w.name(attrRemaining), w.name(attrRemaining), w.value("n", num(n))),
		fmt.Sprintf("%s = %s + :n", w.name(attrUsed), w.name(attrUsed)))
	w.conditions = append(w.conditions,
		fmt.Sprintf("%s = %s", w.name(attrPeriod), w.value("p", str(g.Period))),
		fmt.Sprintf("%s = %s", w.name(attrVersion), w.value("v", str(terms.Version))),
		fmt.Sprintf("%s >= :n", w.name(attrRemaining)),
		fmt.Sprintf("attribute_not_exists(%s)", w.name(attrBlocked)))
}

// ledger gives the two paths of a message's entry.
func (w *write) ledger(m id.Message) (lease, entry string) {
	n := fmt.Sprintf("#m%d", w.ledgerNames)
	w.ledgerNames++
	w.names[n] = m.Unique
	return w.name(attrLeases) + "." + n, w.name(attrEntries) + "." + n
}

// claim adds a ledger entry for each message, under leases that the gate's own sequence gives. Bound is the size of
// the ledger; 0 leaves it open, for claims that end a message.
func (w *write) claim(messages []id.Message, nonce uint32, now time.Time, period uint16, bound int) error {
	if bound > 0 {
		w.conditions = append(w.conditions, fmt.Sprintf("size(%s) <= %s", w.name(attrLeases), w.value("room", num(int64(bound-len(messages))))))
	}
	for i, m := range messages {
		packed, err := pack(Entry{Message: m, Nonce: nonce, Expires: expiry(now), period: period})
		if err != nil {
			return err
		}
		lease, entry := w.ledger(m)
		w.sets = append(w.sets,
			fmt.Sprintf("%s = %s + %s", lease, w.name(attrSeq), w.value(fmt.Sprintf("k%d", i), num(int64(i+1)))),
			fmt.Sprintf("%s = %s", entry, w.value(fmt.Sprintf("e%d", i), packed)))
		w.conditions = append(w.conditions, fmt.Sprintf("attribute_not_exists(%s)", lease))
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
	tat, nowText := w.name(attrTAT), w.value("now", num(now.UnixMicro()))
	if g.NextFree.After(now) {
		w.sets = append(w.sets, fmt.Sprintf("%s = %s + %s", tat, tat, w.value("span", num(n*t))))
		w.conditions = append(w.conditions, fmt.Sprintf("%s > %s", tat, nowText), fmt.Sprintf("%s <= %s", tat, w.value("bound", num(now.UnixMicro()+(r.Burst-n)*t))))
	} else {
		w.set(attrTAT, num(now.UnixMicro()+n*t))
		w.conditions = append(w.conditions, fmt.Sprintf("%s <= %s", tat, nowText))
	}
	if !turn.Waited {
		w.conditions = append(w.conditions, fmt.Sprintf("%s <= %s", w.name(attrLine), nowText))
		if turn.Batch {
			w.conditions = append(w.conditions, w.ended(attrBatchLine, nowText))
		}
	}
}

// ended is the condition that a line, if there is one, has ended at a time.
func (w *write) ended(line, at string) string {
	return fmt.Sprintf("(attribute_not_exists(%s) OR %s <= %s)", w.name(line), w.name(line), at)
}

func (w *write) expression() string {
	var parts []string
	if len(w.sets) > 0 {
		parts = append(parts, "SET "+strings.Join(w.sets, ", "))
	}
	if len(w.removes) > 0 {
		parts = append(parts, "REMOVE "+strings.Join(w.removes, ", "))
	}
	return strings.Join(parts, " ")
}
