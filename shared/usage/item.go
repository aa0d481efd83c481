package usage

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
)

// The gate's attributes have short names: every write costs the item's whole size.
const (
	attrPK        = "pk"
	attrSK        = "sk"
	attrPeriod    = "p"
	attrPlan      = "pl" // plan id
	attrVersion   = "v"
	attrLimit     = "l"
	attrUsed      = "u"
	attrRemaining = "r"
	attrSeq       = "q"
	attrTAT       = "t"   // GCRA's theoretical arrival time, in microseconds
	attrLine      = "w"   // end of the waiting line of single messages, in microseconds
	attrBatchLine = "wb"  // … of messages that came in batches; missing until there is one
	attrLeases    = "led" // message → lease, taken from q in the write
	attrEntries   = "ent" // message → conversation, nonce, expiry, period, and first claim when it is not the lease: packed
	attrPrev      = "pp"
	attrPrevUsed  = "pu"
	attrBlocked   = "x"
	attrNear      = "t8" // when 80 % of the period's number were reached, in milliseconds
	attrFull      = "t1" // when all of it was
	attrPrevNear  = "p8"
	attrPrevFull  = "p1"
	attrShard     = "sh"  // index "due"
	attrDue       = "due" // when the scheduled reset has something to do

	gateSort     = "gate"
	periodPrefix = "period#"

	// DueIndex lists gates by shard and by when the scheduled reset has something to do for them.
	DueIndex = "due"
	// Shards is the number of parts that the scheduled reset sweeps by.
	Shards = 16
)

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return attr.String(s) }
func num(n int64) types.AttributeValue  { return attr.Int(n) }

func gateKey(accountID string) item { return item{attrPK: str(accountID), attrSK: str(gateSort)} }

// Shard is the shard of an account's gate, one of ShardNames.
func Shard(accountID string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(accountID)) // never fails
	return shardName(h.Sum32() % Shards)
}

// ShardNames are those of all shards: "s00" to "s15".
func ShardNames() []string {
	names := make([]string, Shards)
	for i := range names {
		names[i] = shardName(uint32(i))
	}
	return names
}

func shardName(i uint32) string { return fmt.Sprintf("s%02d", i) }

const dueLayout = "2006-01-02T15:04:05.000000Z"

func dueText(t time.Time) string { return t.UTC().Format(dueLayout) }

// DueTime reads a gate's Due.
func DueTime(due string) (time.Time, bool) {
	t, err := time.Parse(dueLayout, due)
	return t, err == nil
}

func text(it item, name string) string    { return attr.Text(it, name) }
func number(v types.AttributeValue) int64 { return attr.NumberOf(v) }

// members gives the members of a map. Some engines leave an empty map out of what they answer.
func members(it item, name string) item {
	if m, ok := it[name].(*types.AttributeValueMemberM); ok {
		return m.Value
	}
	return nil
}

func reached(it item, near, full string) Reached {
	at := func(name string) time.Time {
		if n := number(it[name]); n != 0 {
			return time.UnixMilli(n).UTC()
		}
		return time.Time{}
	}
	return Reached{Near: at(near), Full: at(full)}
}

func micros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// A packed entry: conversation key 10 bytes, nonce 4, expiry in seconds 4, period 2; after a takeover the first claim, 6.
const (
	packedBytes    = 10 + 4 + 4 + 2
	takenOverBytes = packedBytes + 6
)

func keyEncoding() *base32.Encoding {
	return base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
}

func pack(e Entry) (types.AttributeValue, error) {
	conv, err := keyEncoding().DecodeString(e.Message.Conversation)
	if err != nil || len(conv) != 10 {
		return nil, fmt.Errorf("pack ledger entry: %w", id.ErrMalformed)
	}
	b := make([]byte, packedBytes, takenOverBytes)
	copy(b, conv)
	binary.BigEndian.PutUint32(b[10:], e.Nonce)
	binary.BigEndian.PutUint32(b[14:], uint32(e.Expires.Unix()))
	binary.BigEndian.PutUint16(b[18:], e.period)
	if e.Claim != 0 {
		var claim [8]byte
		binary.BigEndian.PutUint64(claim[:], uint64(e.Claim))
		b = append(b, claim[2:]...)
	}
	return &types.AttributeValueMemberB{Value: b}, nil
}

func unpack(unique string, lease int64, v types.AttributeValue) (Entry, error) {
	bv, ok := v.(*types.AttributeValueMemberB)
	if !ok || len(bv.Value) != packedBytes && len(bv.Value) != takenOverBytes {
		return Entry{}, fmt.Errorf("read gate: ledger entry %s is damaged", unique)
	}
	b := bv.Value
	e := Entry{
		Message: id.Message{Unique: unique, Conversation: keyEncoding().EncodeToString(b[:10])},
		Lease:   lease, Claim: lease, Nonce: binary.BigEndian.Uint32(b[10:]),
		Expires: time.Unix(int64(binary.BigEndian.Uint32(b[14:])), 0).UTC(), period: binary.BigEndian.Uint16(b[18:]),
	}
	if len(b) == takenOverBytes {
		var claim [8]byte
		copy(claim[2:], b[packedBytes:])
		e.Claim = int64(binary.BigEndian.Uint64(claim[:]))
	}
	return e, nil
}

func decodeGate(it item) (Gate, error) {
	g := Gate{
		AccountID: text(it, attrPK), Period: text(it, attrPeriod), PlanID: text(it, attrPlan), Version: text(it, attrVersion),
		Limit: number(it[attrLimit]), Used: number(it[attrUsed]), Remaining: number(it[attrRemaining]), NextFree: micros(number(it[attrTAT])), Line: micros(number(it[attrLine])), BatchLine: micros(number(it[attrBatchLine])),
		Previous: text(it, attrPrev), PreviousUsed: number(it[attrPrevUsed]), Due: text(it, attrDue), Entries: map[string]Entry{},
	}
	_, g.Blocked = it[attrBlocked]
	g.Reached, g.PreviousReached = reached(it, attrNear, attrFull), reached(it, attrPrevNear, attrPrevFull)
	var err error
	if _, g.Ends, err = bounds(g.Period); err != nil {
		return Gate{}, fmt.Errorf("read gate of %s: %w", g.AccountID, err)
	}
	leases, entries := members(it, attrLeases), members(it, attrEntries)
	for unique, lease := range leases {
		e, err := unpack(unique, number(lease), entries[unique])
		if err != nil {
			return Gate{}, err
		}
		g.Entries[unique] = e
	}
	return g, nil
}

// expiry rounds up to a whole second, as entries keep it.
func expiry(now time.Time) time.Time { return now.Add(Lease + time.Second - 1).Truncate(time.Second) }

// mark is a period as entries keep it; never 0, which means that an entry counts nothing. Days are numbered from the
// year 2000, months from the year 2000 with the highest bit set.
func mark(period string) uint16 {
	begin, _, err := bounds(period)
	switch {
	case err != nil:
		return 0
	case len(period) == len("2006-01"):
		return 0x8000 | uint16((begin.Year()-2000)*12+int(begin.Month()))
	default:
		return uint16(begin.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Hours()/24) + 1
	}
}
