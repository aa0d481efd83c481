package localdynamo

import (
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"contactcenter/shared/awsclient"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	maxItemBytes = 400 * 1024
	maxHashBytes = 2048
	maxSortBytes = 1024
)

// key is the key schema of a table or an index: attribute names and their types, S, N or B. Without a sort key sort is "".
type key struct {
	hash, sort         string
	hashType, sortType string
}

func (k key) names() []string {
	if k.sort == "" {
		return []string{k.hash}
	}
	return []string{k.hash, k.sort}
}

// keyText is a key's value as text that sorts as the values do.
func keyText(v types.AttributeValue) string {
	if n, ok := v.(*numberValue); ok {
		return mustNumber(n.Value).sortable()
	}
	return scalarText(v)
}

// part returns one key attribute of an item in its sortable form.
func part(it item, name, wanted string, limit int) (string, error) {
	v := it[name]
	if v == nil {
		return "", invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
	}
	if typeName(v) != wanted {
		return "", invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", name, wanted, typeName(v))
	}
	text := keyText(v)
	switch {
	case text == "":
		return "", invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", name)
	case wanted != "N" && len(text) > limit:
		return "", invalid("One or more parameter values were invalid: Size of key %s has exceeded the maximum size limit of %d bytes", name, limit)
	}
	return text, nil
}

// of returns an item's key as a row without its item.
func (k key) of(it item) (*row, error) {
	hash, err := part(it, k.hash, k.hashType, maxHashBytes)
	if err != nil || k.sort == "" {
		return &row{hash: hash}, err
	}
	sort, err := part(it, k.sort, k.sortType, maxSortBytes)
	return &row{hash: hash, sort: sort}, err
}

// only is of for a request's Key, which has to be the key and nothing else.
func (k key) only(it item) (*row, error) {
	if len(it) != len(k.names()) {
		return nil, invalid("The provided key element does not match the schema")
	}
	for _, name := range k.names() {
		if it[name] == nil {
			return nil, invalid("The provided key element does not match the schema")
		}
	}
	return k.of(it)
}

type index struct {
	key
	name       string
	local      bool
	everything bool // projection ALL
	attributes []string
	store      *store
	described  indexInput
}

// row returns what the index holds of a table's row, or nil when the item is not in the index.
func (x *index) row(r *row) (*row, error) {
	for _, name := range x.names() {
		if r.item[name] == nil {
			return nil, nil
		}
	}
	out, err := x.of(r.item)
	if err != nil {
		return nil, err
	}
	out.tableHash, out.tableSort = r.hash, r.sort
	out.item, out.bytes = r.item, r.bytes
	if !x.everything {
		out.item = item{}
		for _, name := range x.attributes {
			if v := r.item[name]; v != nil {
				out.item[name] = v
			}
		}
		out.bytes = awsclient.ItemBytes(out.item)
	}
	return out, nil
}

type table struct {
	key
	name      string
	store     *store
	indexes   []*index
	created   time.Time
	ttl       string
	described createTableInput
}

// change is a checked write: before and after are nil where there is no item.
type change struct {
	table         *table
	before, after *row
	indexes       []indexChange
}

type indexChange struct {
	index         *index
	before, after *row
}

// change checks that the item may take the place of before, and works out what the indexes have to do.
func (t *table) change(before *row, after item) (change, error) {
	c := change{table: t, before: before}
	if after != nil {
		r, err := t.of(after)
		if err != nil {
			return c, err
		}
		r.item, r.bytes = after, awsclient.ItemBytes(after)
		if r.bytes > maxItemBytes {
			return c, invalid("Item size has exceeded the maximum allowed size")
		}
		c.after = r
	}
	for _, x := range t.indexes {
		ic := indexChange{index: x}
		var err error
		if before != nil {
			if ic.before, err = x.row(before); err != nil {
				return c, err
			}
		}
		if c.after != nil {
			if ic.after, err = x.row(c.after); err != nil {
				return c, err
			}
		}
		if ic.before != nil || ic.after != nil {
			c.indexes = append(c.indexes, ic)
		}
	}
	return c, nil
}

// commit carries the change out and returns what it cost.
func (c change) commit() capacity {
	cost := newCapacity(c.table.name)
	switch {
	case c.after != nil:
		c.table.store.put(c.after)
	case c.before != nil:
		c.table.store.remove(c.before)
	}
	cost.table = awsclient.WriteUnits(max(bytesOf(c.before), bytesOf(c.after)))
	for _, ic := range c.indexes {
		cost.index(ic.index, ic.commit())
	}
	return cost
}

func bytesOf(r *row) int {
	if r == nil {
		return 0
	}
	return r.bytes
}

// commit carries an index's part out and returns its units: one write to add, remove or change an entry, two to move it.
func (ic indexChange) commit() float64 {
	s := ic.index.store
	if ic.before != nil && ic.after != nil && ic.before.sameKey(ic.after) {
		s.put(ic.after)
		if equalItems(ic.before.item, ic.after.item) {
			return 0
		}
		return awsclient.WriteUnits(max(ic.before.bytes, ic.after.bytes))
	}
	cost := 0.0
	if ic.before != nil {
		s.remove(ic.before)
		cost += awsclient.WriteUnits(ic.before.bytes)
	}
	if ic.after != nil {
		s.put(ic.after)
		cost += awsclient.WriteUnits(ic.after.bytes)
	}
	return cost
}

// capacity is what one call consumed of one table.
type capacity struct {
	name    string
	table   float64
	global  map[string]float64
	locally map[string]float64
}

func newCapacity(table string) capacity {
	return capacity{name: table, global: map[string]float64{}, locally: map[string]float64{}}
}

func (c *capacity) index(x *index, units float64) {
	if units == 0 {
		return
	}
	if x.local {
		c.locally[x.name] += units
		return
	}
	c.global[x.name] += units
}

func (c *capacity) add(o capacity, factor float64) {
	c.table += o.table * factor
	for name, units := range o.global {
		c.global[name] += units * factor
	}
	for name, units := range o.locally {
		c.locally[name] += units * factor
	}
}

type unitsOutput struct{ CapacityUnits float64 }

type capacityOutput struct {
	TableName              string
	CapacityUnits          float64
	Table                  *unitsOutput           `json:",omitempty"`
	GlobalSecondaryIndexes map[string]unitsOutput `json:",omitempty"`
	LocalSecondaryIndexes  map[string]unitsOutput `json:",omitempty"`
}

// output is the ConsumedCapacity that the request asked for, or nil.
func (c capacity) output(wanted string) *capacityOutput {
	if wanted != "TOTAL" && wanted != "INDEXES" {
		return nil
	}
	out := &capacityOutput{TableName: c.name, CapacityUnits: c.table}
	global, locally := map[string]unitsOutput{}, map[string]unitsOutput{}
	for name, units := range c.global {
		out.CapacityUnits += units
		global[name] = unitsOutput{units}
	}
	for name, units := range c.locally {
		out.CapacityUnits += units
		locally[name] = unitsOutput{units}
	}
	if wanted == "INDEXES" {
		out.Table, out.GlobalSecondaryIndexes, out.LocalSecondaryIndexes = &unitsOutput{c.table}, global, locally
	}
	return out
}

type keyElement struct{ AttributeName, KeyType string }

type attributeDefinition struct{ AttributeName, AttributeType string }

type indexInput struct {
	IndexName  string
	KeySchema  []keyElement
	Projection struct {
		ProjectionType   string
		NonKeyAttributes []string `json:",omitempty"`
	}
}

type createTableInput struct {
	TableName              string
	AttributeDefinitions   []attributeDefinition
	KeySchema              []keyElement
	GlobalSecondaryIndexes []indexInput
	LocalSecondaryIndexes  []indexInput
	BillingMode            string
	ProvisionedThroughput  json.RawMessage
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func newTable(in createTableInput, now time.Time) (*table, error) {
	if !tableName.MatchString(in.TableName) {
		return nil, invalid("TableName must be at least 3 characters long and at most 255 characters long, of a-z, A-Z, 0-9, '_', '-' and '.'")
	}
	if in.BillingMode != "PAY_PER_REQUEST" && in.ProvisionedThroughput == nil {
		return nil, invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	defined := map[string]string{}
	for _, d := range in.AttributeDefinitions {
		if !slices.Contains([]string{"S", "N", "B"}, d.AttributeType) {
			return nil, invalid("Member must satisfy enum value set: [B, N, S]; attribute %s", d.AttributeName)
		}
		defined[d.AttributeName] = d.AttributeType
	}
	used := map[string]bool{}
	k, err := parseKey(in.KeySchema, defined, used)
	if err != nil {
		return nil, err
	}
	t := &table{key: k, name: in.TableName, store: newStore(), created: now, described: in}
	for _, list := range []struct {
		of    []indexInput
		local bool
	}{{in.GlobalSecondaryIndexes, false}, {in.LocalSecondaryIndexes, true}} {
		for _, d := range list.of {
			if err := t.addIndex(d, list.local, defined, used); err != nil {
				return nil, err
			}
		}
	}
	if len(used) != len(defined) {
		return nil, invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return t, nil
}

func (t *table) addIndex(in indexInput, local bool, defined map[string]string, used map[string]bool) error {
	k, err := parseKey(in.KeySchema, defined, used)
	if err != nil {
		return err
	}
	if local && k.hash != t.hash {
		return invalid("One or more parameter values were invalid: Index KeySchema does not have the same leading hash key as table KeySchema for index: %s", in.IndexName)
	}
	x := &index{key: k, name: in.IndexName, local: local, store: newStore(), described: in}
	switch in.Projection.ProjectionType {
	case "ALL":
		x.everything = true
	case "KEYS_ONLY", "INCLUDE":
		x.attributes = slices.Concat(t.names(), k.names(), in.Projection.NonKeyAttributes)
	default:
		return invalid("One or more parameter values were invalid: Unknown ProjectionType: %s", in.Projection.ProjectionType)
	}
	t.indexes = append(t.indexes, x)
	return nil
}

func parseKey(schema []keyElement, defined map[string]string, used map[string]bool) (key, error) {
	var k key
	for _, e := range schema {
		kind, ok := defined[e.AttributeName]
		if !ok {
			return k, invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s]", e.AttributeName)
		}
		used[e.AttributeName] = true
		switch e.KeyType {
		case "HASH":
			k.hash, k.hashType = e.AttributeName, kind
		case "RANGE":
			k.sort, k.sortType = e.AttributeName, kind
		}
	}
	if k.hash == "" {
		return k, invalid("No Hash Key specified in schema. All Dynamo DB tables must have exactly one hash key")
	}
	return k, nil
}

func (t *table) index(name string) (*index, error) {
	for _, x := range t.indexes {
		if x.name == name {
			return x, nil
		}
	}
	return nil, invalid("The table does not have the specified index: %s", name)
}

// describe is the TableDescription.
func (t *table) describe() map[string]any {
	arn := "arn:aws:dynamodb:us-east-1:000000000000:table/" + t.name
	out := map[string]any{
		"TableName": t.name, "TableStatus": "ACTIVE", "TableArn": arn, "CreationDateTime": t.created.Unix(),
		"KeySchema": t.described.KeySchema, "AttributeDefinitions": t.described.AttributeDefinitions,
		"ItemCount": t.store.count, "TableSizeBytes": t.store.bytes,
	}
	if t.described.BillingMode != "" {
		out["BillingModeSummary"] = map[string]string{"BillingMode": t.described.BillingMode}
	}
	var global, locally []map[string]any
	for _, x := range t.indexes {
		d := map[string]any{
			"IndexName": x.name, "IndexArn": arn + "/index/" + x.name, "KeySchema": x.described.KeySchema, "Projection": x.described.Projection,
			"ItemCount": x.store.count, "IndexSizeBytes": x.store.bytes,
		}
		if x.local {
			locally = append(locally, d)
			continue
		}
		d["IndexStatus"] = "ACTIVE"
		global = append(global, d)
	}
	if global != nil {
		out["GlobalSecondaryIndexes"] = global
	}
	if locally != nil {
		out["LocalSecondaryIndexes"] = locally
	}
	return out
}
