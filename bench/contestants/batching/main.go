// Go: amqp091 and pgx. What is there, 500 messages at most, is one transaction of multi-row statements and one
// multiple acknowledgement.
package main

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/gofrs/uuid"
	"github.com/jackc/pgx/v4"
	amqp "github.com/rabbitmq/amqp091-go"
)

const most = 500

type item struct {
	Field string  `json:"field"`
	Date  string  `json:"date"`
	After *string `json:"after"`
}

type delivery struct {
	TaskID string `json:"task_id"`
	Items  []item `json:"history_items"`
}

type event struct {
	object string
	said   delivery
}

type row struct {
	ID          string                 `json:"id"`
	Title       *string                `json:"title"`
	Body        *string                `json:"body"`
	Status      *string                `json:"status"`
	Labels      []string               `json:"labels"`
	ParentType  *string                `json:"external_parent_type"`
	ParentID    *string                `json:"external_parent_id"`
	Properties  map[string]interface{} `json:"properties"`
	Provisional map[string]string      `json:"provisional"`
	AmendedTo   *time.Time             `json:"amended_to"`
	known       time.Time
}

func statement(name string) string {
	text, err := os.ReadFile(os.Getenv("QUERIES") + "/" + name + ".sql")
	if err != nil {
		log.Fatal(err)
	}
	return string(text)
}

func objectID(integration, task string) string {
	space, err := uuid.FromString(integration)
	if err != nil {
		log.Fatal(err)
	}
	hash := sha1.New()
	hash.Write(space.Bytes())
	hash.Write([]byte("task/" + task))
	var id uuid.UUID
	copy(id[:], hash.Sum(nil))
	id.SetVersion(uuid.V5)
	id.SetVariant(uuid.VariantRFC4122)
	return id.String()
}

// amend says whether the row is another one with what this delivery states.
func (r *row) amend(said delivery) bool {
	changed := false
	for _, one := range said.Items {
		path := "properties." + one.Field
		if one.Field == "name" {
			path = "title"
		}
		milliseconds, err := strconv.ParseInt(one.Date, 10, 64)
		if err != nil || one.After == nil {
			continue
		}
		at := time.UnixMilli(milliseconds).UTC()
		if !at.After(r.known) {
			continue
		}
		if before, there := r.Provisional[path]; there {
			if then, err := time.Parse(time.RFC3339Nano, before); err == nil && !at.After(then) {
				continue
			}
		}
		if one.Field == "name" {
			r.Title = one.After
		} else if number, err := strconv.ParseInt(*one.After, 10, 64); err == nil {
			r.Properties[one.Field] = number
		}
		r.Provisional[path] = at.Format(time.RFC3339Nano)
		if r.AmendedTo == nil || at.After(*r.AmendedTo) {
			r.AmendedTo = &at
		}
		changed = true
	}
	return changed
}

type consumer struct {
	connection         *pgx.Conn
	claim, rows, write string
}

func (c *consumer) apply(ctx context.Context, batch []amqp.Delivery) error {
	events := make(map[string]event, len(batch))
	ids := make([]string, 0, len(batch))
	for _, message := range batch {
		id := message.Headers["cloudEvents_id"].(string)
		var said delivery
		if err := json.Unmarshal(message.Body, &said); err != nil {
			return err
		}
		ids = append(ids, id)
		events[id] = event{objectID(message.Headers["cloudEvents_integrationid"].(string), said.TaskID), said}
	}
	transaction, err := c.connection.Begin(ctx)
	if err != nil {
		return err
	}
	defer transaction.Rollback(ctx)
	claimed, err := transaction.Query(ctx, c.claim, "knowledge", ids)
	if err != nil {
		return err
	}
	fresh := map[string]bool{}
	for claimed.Next() {
		var id uuid.UUID
		if err := claimed.Scan(&id); err != nil {
			return err
		}
		fresh[id.String()] = true
	}
	told := map[string][]delivery{}
	objects := []string{}
	for _, id := range ids {
		if !fresh[id] {
			continue
		}
		delete(fresh, id)
		one := events[id]
		if _, there := told[one.object]; !there {
			objects = append(objects, one.object)
		}
		told[one.object] = append(told[one.object], one.said)
	}
	found, err := transaction.Query(ctx, c.rows, objects)
	if err != nil {
		return err
	}
	amended := []*row{}
	for found.Next() {
		var one row
		var id uuid.UUID
		var updated *time.Time
		var observed time.Time
		if err := found.Scan(&id, &updated, &observed, &one.Title, &one.Body, &one.Status, &one.Labels,
			&one.ParentType, &one.ParentID, &one.Properties, &one.Provisional, &one.AmendedTo); err != nil {
			return err
		}
		one.ID, one.known = id.String(), observed
		if updated != nil {
			one.known = *updated
		}
		if one.Provisional == nil {
			one.Provisional = map[string]string{}
		}
		changed := false
		for _, said := range told[one.ID] {
			changed = one.amend(said) || changed
		}
		if changed {
			amended = append(amended, &one)
		}
	}
	if len(amended) > 0 {
		octets, err := json.Marshal(amended)
		if err != nil {
			return err
		}
		if _, err := transaction.Exec(ctx, c.write, string(octets)); err != nil {
			return err
		}
	}
	return transaction.Commit(ctx)
}

func main() {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	broker, err := amqp.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		log.Fatal(err)
	}
	channel, err := broker.Channel()
	if err != nil {
		log.Fatal(err)
	}
	if err := channel.Qos(2*most, 0, false); err != nil {
		log.Fatal(err)
	}
	deliveries, err := channel.Consume("kb.knowledge", "", false, false, false, false, nil)
	if err != nil {
		log.Fatal(err)
	}
	c := consumer{connection, statement("claim"), statement("object_amendable"), statement("object_amend")}
	waiting := make(chan amqp.Delivery, 2*most) // the library hands over one at a time
	go func() {
		for message := range deliveries {
			waiting <- message
		}
		close(waiting)
	}()
	for first := range waiting {
		batch := []amqp.Delivery{first}
	more:
		for len(batch) < most {
			select {
			case next := <-waiting:
				batch = append(batch, next)
			default:
				break more
			}
		}
		if err := c.apply(ctx, batch); err != nil {
			log.Fatal(err)
		}
		if err := batch[len(batch)-1].Ack(true); err != nil {
			log.Fatal(err)
		}
	}
}
