// Go: amqp091 and pgx. What is there, 500 messages at most, is one transaction of multi-row statements and one
// multiple acknowledgement. Each event is validated, timed, counted and said in a line of the log, and the statements of
// a batch are ours; what it does not do is ask the source afterwards, write what that says, and tell subscribers.
package main

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/gofrs/uuid"
	"github.com/jackc/pgx/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	amqp "github.com/rabbitmq/amqp091-go"
)

const most = 500

var (
	buckets  = []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	lag      = histogram("lag_seconds", "consumer").WithLabelValues("knowledge")
	changes  = histogram("change_to_row_seconds", "how").WithLabelValues("stated")
	receipts = histogram("received_to_row_seconds", "how").WithLabelValues("stated")
	took     = histogram("batch_seconds", "consumer").WithLabelValues("knowledge")
	settled  = promauto.NewCounterVec(prometheus.CounterOpts{Name: "deliveries_total"}, []string{"consumer", "outcome"})
	lines    = log.New(os.Stderr, "", 0)
)

func histogram(name, label string) *prometheus.HistogramVec {
	return promauto.NewHistogramVec(prometheus.HistogramOpts{Name: name, Buckets: buckets}, []string{label})
}

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
	id, integration, kind, subject, traceparent, object string
	at                                                  time.Time
	said                                                delivery
}

// line is one delivery in the log.
type line struct {
	Event         string  `json:"event"`
	Level         string  `json:"level"`
	Timestamp     string  `json:"timestamp"`
	Consumer      string  `json:"consumer"`
	Batch         int     `json:"batch"`
	Milliseconds  float64 `json:"milliseconds"`
	EventID       string  `json:"event_id"`
	Type          string  `json:"type"`
	Subject       string  `json:"subject"`
	IntegrationID string  `json:"integration_id"`
	Traceparent   string  `json:"traceparent"`
	Attempt       int     `json:"attempt"`
	Outcome       string  `json:"outcome"`
	Reason        *string `json:"reason"`
}

// read is the event of a message, with its attributes as they must be.
func read(message amqp.Delivery) (event, error) {
	text := func(name string) string {
		value, _ := message.Headers[name].(string)
		return value
	}
	var one event
	if version := text("cloudEvents_specversion"); version != "1.0" {
		return one, fmt.Errorf("specversion is %q", version)
	}
	if _, err := uuid.FromString(text("cloudEvents_id")); err != nil {
		return one, err
	}
	at, err := time.Parse(time.RFC3339Nano, text("cloudEvents_time"))
	if err != nil {
		return one, err
	}
	if published, err := time.Parse(time.RFC3339Nano, text("cloudEvents_publishedat")); err == nil {
		lag.Observe(time.Since(published).Seconds())
	}
	one = event{
		id: text("cloudEvents_id"), integration: text("cloudEvents_integrationid"), kind: text("cloudEvents_type"),
		subject: text("cloudEvents_subject"), traceparent: text("traceparent"), at: at,
	}
	if err := json.Unmarshal(message.Body, &one.said); err != nil {
		return one, err
	}
	one.object, err = objectID(one.integration, one.said.TaskID)
	return one, err
}

// changedAt is the latest time in its history.
func (d *delivery) changedAt() time.Time {
	var latest time.Time
	for _, one := range d.Items {
		if milliseconds, err := strconv.ParseInt(one.Date, 10, 64); err == nil {
			if at := time.UnixMilli(milliseconds); at.After(latest) {
				latest = at
			}
		}
	}
	return latest
}

func say(events []event, started time.Time) error {
	now, milliseconds := time.Now(), time.Since(started).Seconds()*1000
	took.Observe(milliseconds / 1000)
	settled.WithLabelValues("knowledge", "done").Add(float64(len(events)))
	for _, one := range events {
		octets, err := json.Marshal(line{
			"event.settled", "info", now.UTC().Format(time.RFC3339Nano), "knowledge", len(events), milliseconds, one.id,
			one.kind, one.subject, one.integration, one.traceparent, 1, "Done", nil,
		})
		if err != nil {
			return err
		}
		lines.Println(string(octets))
	}
	return nil
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

func objectID(integration, task string) (string, error) {
	space, err := uuid.FromString(integration)
	if err != nil {
		return "", err
	}
	hash := sha1.New()
	hash.Write(space.Bytes())
	hash.Write([]byte("task/" + task))
	var id uuid.UUID
	copy(id[:], hash.Sum(nil))
	id.SetVersion(uuid.V5)
	id.SetVariant(uuid.VariantRFC4122)
	return id.String(), nil
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
	connection *pgx.Conn
	statements map[string]string
}

// ask runs a statement whose rows nobody needs one by one.
func (c *consumer) ask(ctx context.Context, name string, arguments ...interface{}) error {
	rows, err := c.connection.Query(ctx, c.statements[name], arguments...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if _, err := rows.Values(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c *consumer) apply(ctx context.Context, batch []amqp.Delivery) error {
	started := time.Now()
	all := make([]event, 0, len(batch))
	events := make(map[string]event, len(batch))
	ids := make([]string, 0, len(batch))
	integrations, types, tasks := map[string]bool{}, []string{}, []string{}
	for _, message := range batch {
		one, err := read(message)
		if err != nil {
			return err
		}
		if _, there := events[one.id]; !there {
			types, tasks = append(types, "task"), append(tasks, one.said.TaskID)
		}
		all, ids = append(all, one), append(ids, one.id)
		events[one.id], integrations[one.integration] = one, true
	}
	named := []string{}
	for id := range integrations {
		named = append(named, id)
	}
	if err := c.ask(ctx, "claimed", "knowledge", ids); err != nil {
		return err
	}
	if err := c.ask(ctx, "integration_settings", named); err != nil {
		return err
	}
	if err := c.ask(ctx, "object_standing", named[0], types, tasks); err != nil {
		return err
	}
	transaction, err := c.connection.Begin(ctx)
	if err != nil {
		return err
	}
	defer transaction.Rollback(ctx)
	claimed, err := transaction.Query(ctx, c.statements["claim"], "knowledge", ids)
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
	told := map[string][]event{}
	objects, about, times := []string{}, []string{}, []time.Time{}
	for _, id := range ids {
		if !fresh[id] {
			continue
		}
		delete(fresh, id)
		one := events[id]
		if _, there := told[one.object]; !there {
			objects = append(objects, one.object)
		}
		told[one.object] = append(told[one.object], one)
		about, times = append(about, one.object), append(times, one.said.changedAt())
	}
	found, err := transaction.Query(ctx, c.statements["object_amendable"], objects)
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
		for _, event := range told[one.ID] {
			changed = one.amend(event.said) || changed
		}
		if changed {
			amended = append(amended, &one)
			for _, event := range told[one.ID] {
				changes.Observe(time.Since(event.said.changedAt()).Seconds())
				receipts.Observe(time.Since(event.at).Seconds())
			}
		}
	}
	if len(amended) > 0 {
		octets, err := json.Marshal(amended)
		if err != nil {
			return err
		}
		if _, err := transaction.Exec(ctx, c.statements["object_amend"], string(octets)); err != nil {
			return err
		}
	}
	if _, err := transaction.Exec(ctx, c.statements["missed_arrived"], named[0], about, times); err != nil {
		return err
	}
	if _, err := transaction.Exec(ctx, c.statements["sync_succeeded"], named); err != nil {
		return err
	}
	if _, err := transaction.Exec(ctx, c.statements["event_mended"], ids); err != nil {
		return err
	}
	if err := transaction.Commit(ctx); err != nil {
		return err
	}
	return say(all, started)
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
	c := consumer{connection, map[string]string{}}
	for _, name := range []string{
		"claimed", "integration_settings", "object_standing", "claim", "object_amendable", "object_amend",
		"missed_arrived", "sync_succeeded", "event_mended",
	} {
		c.statements[name] = statement(name)
	}
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
