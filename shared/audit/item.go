package audit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit/chain"
)

// Items: pk "account#<account id>" or "operator", sk event id. Index "shard": gk one of the shards, gs event id; a shard is
// what keeps a single partition from taking every event of the Contact Center. Of each event there is a second item, its place in the
// chain: pk "chain#" and the event's, sk the sequence, with the event's id and hash. Neither is ever written over.
const (
	attrPK          = "pk"
	attrSK          = "sk"
	attrShard       = "gk"
	attrShardSort   = "gs"
	attrAt          = "at"
	attrAccount     = "account_id"
	attrActorKind   = "actor_kind"
	attrActorID     = "actor_id"
	attrActorOf     = "actor_account_id"
	attrAction      = "action"
	attrTarget      = "target"
	attrBefore      = "before"
	attrAfter       = "after"
	attrReason      = "reason"
	attrInstruction = "instruction_id"
	attrComplaint   = "complaint_id"
	attrRequest     = "request_id"
	attrSourceIP    = "source_ip"
	attrRules       = "rules_version"
	attrSequence    = "sequence"
	attrPrevious    = "previous_hash"
	attrHash        = "hash"
	attrSalt        = "withheld_salt"
	attrEvent       = "event_id"

	accountPrefix = "account#"
	operatorsOwn  = "operator"
	chainPrefix   = "chain#"

	timeLayout = "2006-01-02T15:04:05.000Z"
)

func partition(accountID string) string {
	if accountID == "" {
		return operatorsOwn
	}
	return accountPrefix + accountID
}

func shardName(n int) string { return fmt.Sprintf("s%d", n) }

// shardOf spreads events by the last byte of their ids, which is random.
func shardOf(eventID string) string { return shardName(int(eventID[len(eventID)-1]) % Shards) }

// placeOf gives an event's place in its chain, as an item.
func placeOf(e Event) attr.Item {
	return attr.Item{
		attrPK: attr.String(chainPrefix + partition(e.AccountID)), attrSK: attr.String(placeKey(e.Sequence)), attrEvent: attr.String(e.ID), attrHash: digest(e.Hash),
	}
}

// placeKey sorts as its number does.
func placeKey(sequence int64) string { return fmt.Sprintf("%016d", sequence) }

// digest writes hexadecimal digits as the bytes that they are.
func digest(hexadecimal string) types.AttributeValue {
	b, _ := hex.DecodeString(hexadecimal) // hashes and salts are made here
	return &types.AttributeValueMemberB{Value: b}
}

func hexadecimal(it attr.Item, name string) string {
	if b, ok := it[name].(*types.AttributeValueMemberB); ok {
		return hex.EncodeToString(b.Value)
	}
	return ""
}

func encode(e Event) (attr.Item, error) {
	it := attr.Item{
		attrPK: attr.String(partition(e.AccountID)), attrSK: attr.String(e.ID), attrShard: attr.String(shardOf(e.ID)), attrShardSort: attr.String(e.ID),
		attrAt: attr.Time(e.At), attrActorKind: attr.String(e.Actor.Kind), attrActorID: attr.String(e.Actor.ID),
		attrAction: attr.String(e.Action), attrTarget: attr.String(e.Target),
		attrSequence: attr.Int(e.Sequence), attrPrevious: digest(e.PreviousHash), attrHash: digest(e.Hash),
	}
	if e.WithheldSalt != "" {
		it[attrSalt] = digest(e.WithheldSalt)
	}
	for name, text := range map[string]string{
		attrAccount: e.AccountID, attrActorOf: e.Actor.AccountID, attrReason: e.Reason, attrInstruction: e.InstructionID, attrComplaint: e.ComplaintID,
		attrRequest: e.RequestID, attrSourceIP: e.SourceIP, attrRules: e.RulesVersion,
	} {
		if text != "" {
			it[name] = attr.String(text)
		}
	}
	size := 0
	for name, values := range map[string]map[string]any{attrBefore: e.Before, attrAfter: e.After} {
		if values == nil {
			continue
		}
		b, err := json.Marshal(values)
		if err != nil {
			return nil, fmt.Errorf("encode audit event: %w", err)
		}
		size += len(b)
		it[name] = attr.String(string(b))
	}
	if size > MaxValues {
		return nil, fmt.Errorf("encode audit event: before and after have %d bytes, more than %d", size, MaxValues)
	}
	return it, nil
}

func decode(it attr.Item) (Event, error) {
	e := Event{
		ID: attr.Text(it, attrSK), At: attr.Moment(it, attrAt), AccountID: attr.Text(it, attrAccount),
		Actor:  Actor{Kind: attr.Text(it, attrActorKind), ID: attr.Text(it, attrActorID), AccountID: attr.Text(it, attrActorOf)},
		Action: attr.Text(it, attrAction), Target: attr.Text(it, attrTarget), Reason: attr.Text(it, attrReason),
		InstructionID: attr.Text(it, attrInstruction), ComplaintID: attr.Text(it, attrComplaint),
		RequestID: attr.Text(it, attrRequest), SourceIP: attr.Text(it, attrSourceIP), RulesVersion: attr.Text(it, attrRules),
		Sequence: attr.Number(it, attrSequence), PreviousHash: hexadecimal(it, attrPrevious), Hash: hexadecimal(it, attrHash), WithheldSalt: hexadecimal(it, attrSalt),
	}
	if err := attr.FromJSON(it, attrBefore, &e.Before); err != nil {
		return e, err
	}
	if err := attr.FromJSON(it, attrAfter, &e.After); err != nil {
		return e, err
	}
	if e.Sequence != 0 {
		e.WithheldHash, _ = chain.HashWithheld(e.Record()) // without its salt it has none, which a check then finds
	}
	return e, nil
}

func decodeAll(items []map[string]types.AttributeValue) ([]Event, error) {
	list := make([]Event, 0, len(items))
	for _, it := range items {
		e, err := decode(it)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// Record gives the event as the API shows it to the operator, which is the form that its hash is of.
func (e Event) Record() chain.Record {
	actor := map[string]any{"kind": e.Actor.Kind}
	r := chain.Record{"id": e.ID, "at": e.At.UTC().Format(timeLayout), "actor": actor, "action": e.Action, "target": e.Target}
	texts(actor, map[string]string{"id": e.Actor.ID, "account_id": e.Actor.AccountID})
	texts(r, map[string]string{
		"account_id": e.AccountID, "reason": e.Reason, "instruction_id": e.InstructionID, "complaint_id": e.ComplaintID, "request_id": e.RequestID,
		"source_ip": e.SourceIP, "rules_version": e.RulesVersion, chain.PreviousHash: e.PreviousHash, chain.HashMember: e.Hash,
		chain.WithheldHash: e.WithheldHash, chain.WithheldSalt: e.WithheldSalt,
	})
	for name, values := range map[string]map[string]any{"before": e.Before, "after": e.After} {
		if len(values) > 0 {
			r[name] = values
		}
	}
	if e.Sequence != 0 {
		r[chain.Sequence] = e.Sequence
	}
	return r
}

func texts(r chain.Record, members map[string]string) {
	for name, text := range members {
		if text != "" {
			r[name] = text
		}
	}
}
