package message

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/id"
	"contactcenter/shared/seal"
)

// The names of a state item's attributes are short because every write of an item costs its whole size, in units of
// 1 KB, and names count.
const (
	attrPK         = "pk" // account#conversation
	attrSK         = "sk" // m#unique: a message's state; x#unique: long content
	attrDirection  = "d"
	attrChannel    = "ch"
	attrProvider   = "pv"
	attrSealed     = "z" // sealed: in a state the address with short content, in an item of its own long content
	attrExternal   = "cx"
	attrHash       = "ha"
	attrReference  = "cr"
	attrOnLimit    = "ol"
	attrExpires    = "ex"
	attrRules      = "rv"
	attrCreatedBy  = "by"
	attrReplyTo    = "rt"
	attrReplyNo    = "no" // of a reply: its number among those of the conversation
	attrOutcome    = "st"
	attrReport     = "dl"
	attrClaim      = "c"
	attrFence      = "f"
	attrAttempts   = "at"
	attrSpared     = "sp"
	attrProviderID = "pm"
	attrTransfer   = "tc"
	attrRegistry   = "gv" // version of the provider's entry that the message was handed over under
	attrHeld       = "hr"
	attrHeldLease  = "hl"
	attrHeldBy     = "hb"
	attrRelease    = "ra"
	attrNotBefore  = "nb"
	attrError      = "er"
	attrReportErr  = "re"
	attrSteps      = "tl"
	attrErased     = "ea"
	attrSendAt     = "sa"
	attrTTL        = "ttl"
	attrHeldKey    = "hk" // index "held": account
	attrHeldSort   = "hs" // unique+conversation: the order of acceptance
	attrRefKey     = "rk" // index "reference": account#client_reference
	attrRefSort    = "rs" // unique+conversation
	attrShard      = "sh" // index "scheduled": one of ScheduledShards
	attrDue        = "sd" // send_at in milliseconds, unique+conversation

	statePrefix   = "m#"
	contentPrefix = "x#"
	seenPrefix    = "d#"

	// HeldIndex lists an account's held messages, oldest first.
	HeldIndex = "held"
	// ReferenceIndex lists an account's messages of one client_reference.
	ReferenceIndex = "reference"
	// ScheduledIndex lists the messages of a shard that are to go at a certain time, the earliest first.
	ScheduledIndex = "scheduled"

	// inlineBytes is the largest state item that takes its content along: with its timeline, an item of this size
	// stays within one write unit through its life.
	inlineBytes = 750
)

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue  { return attr.String(s) }
func num(n int64) types.AttributeValue   { return attr.Int(n) }
func binv(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func partition(accountID, conversation string) string { return accountID + "#" + conversation }

func key(accountID string, m id.Message, prefix string) item {
	return item{attrPK: str(partition(accountID, m.Conversation)), attrSK: str(prefix + m.Unique)}
}

// encode gives the state item of a new message, and the item of its content when that is too long to go inline. Address
// and short content are sealed as one value, so that the sealing is paid for once.
func encode(m Message, retention time.Duration, sealer Sealer) (state, long item, err error) {
	if sealer == nil {
		return nil, nil, errNoSealer
	}
	cj, err := json.Marshal(m.Content)
	if err != nil {
		return nil, nil, fmt.Errorf("encode content: %w", err)
	}
	hash, err := hex.DecodeString(m.ContentSHA256)
	if err != nil {
		return nil, nil, fmt.Errorf("encode content hash: %w", err)
	}
	state = plainState(m, hash)
	ttl := num(m.CreatedAt().Add(m.keptFor(retention)).Unix())
	state[attrTTL] = ttl
	plain := packAddress(m.Address)
	size := len(attrSealed) + seal.Overhead + len(plain) + len(cj)
	for k, v := range state {
		size += len(k) + valueBytes(v)
	}
	if size <= inlineBytes {
		plain = append(plain, cj...)
	} else {
		state[attrExternal] = &types.AttributeValueMemberBOOL{Value: true}
		long = key(m.AccountID, m.ID, contentPrefix)
		long[attrTTL] = ttl
		if long[attrSealed], err = sealed(sealer, m, longPurpose, cj); err != nil {
			return nil, nil, err
		}
	}
	state[attrSealed], err = sealed(sealer, m, statePurpose, plain)
	return state, long, err
}

// plainState is what of a new message's state is not sealed.
func plainState(m Message, hash []byte) item {
	state := key(m.AccountID, m.ID, statePrefix)
	state[attrDirection] = str(string(m.Direction[:1]))
	state[attrChannel] = str(m.ChannelID)
	state[attrProvider] = str(m.ProviderID)
	state[attrHash] = binv(hash)
	state[attrOutcome] = str(string(m.Outcome))
	optional(state, attrRules, m.RulesVersion)
	optional(state, attrCreatedBy, m.CreatedBy)
	optional(state, attrReplyTo, m.ReplyTo)
	optional(state, attrProviderID, m.ProviderMessageID)
	if m.replyNo > 0 {
		state[attrReplyNo] = num(m.replyNo)
	}
	if m.ClientReference != "" {
		state[attrReference] = str(m.ClientReference)
		state[attrRefKey] = str(referenceKey(m.AccountID, m.ClientReference))
		state[attrRefSort] = str(m.ID.Unique + m.ID.Conversation)
	}
	if m.OnLimit == Hold {
		state[attrOnLimit] = str(string(Hold))
	}
	if !m.ExpiresAt.IsZero() {
		state[attrExpires] = num(m.ExpiresAt.UnixMilli())
	}
	if !m.SendAt.IsZero() {
		state[attrSendAt], state[attrNotBefore] = num(m.SendAt.UnixMilli()), num(m.SendAt.UnixMilli())
		state[attrShard], state[attrDue] = str(shardOf(m.ID)), str(dueKey(m.SendAt, m.ID))
	}
	if len(m.Steps) > 0 {
		state[attrSteps] = steps(m.Steps...)
	}
	return state
}

func optional(it item, name, value string) {
	if value != "" {
		it[name] = str(value)
	}
}

func valueBytes(v types.AttributeValue) int {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberL:
		n := 3
		for _, e := range v.Value {
			n += 1 + valueBytes(e)
		}
		return n
	default:
		return 1
	}
}

func referenceKey(accountID, reference string) string { return accountID + "#" + reference }

// steps packs timeline steps as "status ms reason", one string each.
func steps(list ...Step) types.AttributeValue {
	l := &types.AttributeValueMemberL{}
	for _, s := range list {
		text := string(s.Status) + " " + strconv.FormatInt(s.At.UnixMilli(), 10)
		if s.Reason != "" {
			text += " " + s.Reason
		}
		l.Value = append(l.Value, str(text))
	}
	return l
}

// decode reads a state item; address and content stay sealed.
func decode(it item) (Message, error) {
	account, conversation, ok := strings.Cut(text(it, attrPK), "#")
	unique, isState := strings.CutPrefix(text(it, attrSK), statePrefix)
	if !ok || !isState {
		return Message{}, fmt.Errorf("decode message: item %q %q is no message", text(it, attrPK), text(it, attrSK))
	}
	m := Message{
		AccountID: account, ID: id.Message{Unique: unique, Conversation: conversation}, Direction: Outbound,
		ChannelID: text(it, attrChannel), ProviderID: text(it, attrProvider),
		ClientReference: text(it, attrReference), OnLimit: Reject, ExpiresAt: millis(it, attrExpires), SendAt: millis(it, attrSendAt), RulesVersion: text(it, attrRules),
		CreatedBy: text(it, attrCreatedBy), ReplyTo: text(it, attrReplyTo), Outcome: Status(text(it, attrOutcome)), Report: Status(text(it, attrReport)),
		Claim: number(it, attrClaim), Fence: number(it, attrFence), Attempts: int(number(it, attrAttempts)), Spared: int(number(it, attrSpared)), ProviderMessageID: text(it, attrProviderID),
		TransferCompletedAt: millis(it, attrTransfer), ProviderVersion: number(it, attrRegistry), HeldReason: text(it, attrHeld), HeldBy: text(it, attrHeldBy), HeldLease: number(it, attrHeldLease), ReleaseAt: millis(it, attrRelease), NotBefore: millis(it, attrNotBefore),
	}
	if text(it, attrDirection) == "i" {
		m.Direction = Inbound
	}
	if text(it, attrOnLimit) == string(Hold) {
		m.OnLimit = Hold
	}
	if b, ok := it[attrHash].(*types.AttributeValueMemberB); ok {
		m.ContentSHA256 = hex.EncodeToString(b.Value)
	}
	if _, ok := it[attrExternal]; ok {
		m.External = true
	}
	m.ErasedAt = millis(it, attrErased)
	var err error
	if m.OutcomeError, err = problem(it, attrError); err != nil {
		return Message{}, err
	}
	if m.ReportedError, err = problem(it, attrReportErr); err != nil {
		return Message{}, err
	}
	if m.Steps, err = decodeSteps(it); err != nil {
		return Message{}, err
	}
	m.sealed = blob(it)
	return m, nil
}

func decodeSteps(it item) ([]Step, error) {
	l, ok := it[attrSteps].(*types.AttributeValueMemberL)
	if !ok {
		return nil, nil
	}
	list := make([]Step, 0, len(l.Value))
	for _, e := range l.Value {
		s, ok := e.(*types.AttributeValueMemberS)
		if !ok {
			return nil, fmt.Errorf("decode message: a timeline step is no string")
		}
		parts := strings.SplitN(s.Value, " ", 3)
		if len(parts) < 2 {
			return nil, fmt.Errorf("decode message: timeline step %q", s.Value)
		}
		ms, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("decode message: timeline step: %w", err)
		}
		step := Step{Status: Status(parts[0]), At: time.UnixMilli(ms).UTC()}
		if len(parts) == 3 {
			step.Reason = parts[2]
		}
		list = append(list, step)
	}
	return list, nil
}

func problem(it item, name string) (*Problem, error) {
	s := text(it, name)
	if s == "" {
		return nil, nil
	}
	var p Problem
	if err := json.Unmarshal([]byte(s), &p); err != nil {
		return nil, fmt.Errorf("decode message: problem: %w", err)
	}
	return &p, nil
}

func text(it item, name string) string  { return attr.Text(it, name) }
func number(it item, name string) int64 { return attr.Number(it, name) }

func millis(it item, name string) time.Time {
	if ms := number(it, name); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}
