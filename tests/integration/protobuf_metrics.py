"""Decodes a scrape in protobuf with Google's library and the official schema.

metrics.proto is io/prometheus/client/metrics.proto of https://github.com/prometheus/client_model, version 0.6.2, unchanged. Its messages
are read here, so that no protoc is needed.
"""

import pathlib
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.internal.decoder import _DecodeVarint32

PACKAGE = "io.prometheus.client"
FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = {name: getattr(FIELD, f"TYPE_{name.upper()}") for name in ("double", "int64", "uint64", "uint32", "sint32", "sint64", "string")}


def _read_schema(text):
    text = re.sub(r"//.*", "", text)
    blocks = re.findall(r"^(message|enum) (\w+) \{(.*?)^\}", text, re.M | re.S)
    enums = {name for kind, name, _ in blocks if kind == "enum"}
    schema = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package=PACKAGE, syntax="proto2",
                                                dependency=["google/protobuf/timestamp.proto"])
    for kind, name, body in blocks:
        if kind == "enum":
            values = schema.enum_type.add(name=name).value
            for value, number in re.findall(r"(\w+)\s*=\s*(\d+);", body):
                values.add(name=value, number=int(number))
            continue
        fields = schema.message_type.add(name=name).field
        for label, of, field, number in re.findall(r"(optional|repeated)\s+([\w.]+)\s+(\w+)\s*=\s*(\d+);", body):
            added = fields.add(name=field, number=int(number), label=getattr(FIELD, f"LABEL_{label.upper()}"))
            if of in SCALARS:
                added.type = SCALARS[of]
            else:
                added.type = FIELD.TYPE_ENUM if of in enums else FIELD.TYPE_MESSAGE
                added.type_name = f".{of}" if "." in of else f".{PACKAGE}.{of}"
    return schema


def _family_class():
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(_read_schema((pathlib.Path(__file__).parent / "metrics.proto").read_text()).SerializeToString())
    descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.MetricFamily")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


MetricFamily = _family_class()


def _has_unknown(message):
    """Whether a message, or one in it, has a field that the schema does not know: encoding it again leaves that out."""
    before = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != before


def decode(body):
    """The families of a scrape, in its order. Fails for a byte that the schema does not explain."""
    families, at = [], 0
    while at < len(body):
        size, at = _DecodeVarint32(body, at)
        assert at + size <= len(body)
        family = MetricFamily.FromString(bytes(body[at:at + size]))
        assert not _has_unknown(family), family.name
        families.append(family)
        at += size
    return families


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
NATIVE = ("http_request_duration_seconds", "http_request_queue_seconds")


def labels_of(metric):
    return tuple(sorted((label.name, label.value) for label in metric.label))


def samples_of(families):
    """As the text formats have them: (name, *labels) -> value."""
    samples = {}
    for family in families:
        for metric in family.metric:
            labels = labels_of(metric)
            if not metric.HasField("histogram"):
                samples[(family.name, *labels)] = (metric.counter if metric.HasField("counter") else metric.gauge).value
                continue
            for bucket in metric.histogram.bucket:
                bound = "+Inf" if bucket.upper_bound == float("inf") else str(bucket.upper_bound)
                samples[(family.name + "_bucket", *sorted([*labels, ("le", bound)]))] = bucket.cumulative_count
            samples[(family.name + "_count", *labels)] = metric.histogram.sample_count
            samples[(family.name + "_sum", *labels)] = metric.histogram.sample_sum
    return samples


def native_buckets(histogram):
    """{index: count}, and the zero bucket as None."""
    assert histogram.schema == 3 and histogram.zero_threshold == 2 ** -20
    counts, index, count, deltas = {None: histogram.zero_count}, 0, 0, iter(histogram.positive_delta)
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            counts[index] = count
            index += 1
    assert next(deltas, None) is None
    return counts


def agreed_counts(families):
    """The count of each native histogram, over all labels. Fails if the two kinds of buckets do not have the same count."""
    counts = dict.fromkeys(NATIVE, 0)
    for family in families:
        for metric in family.metric if family.name in NATIVE else ():
            count = metric.histogram.sample_count
            assert sum(native_buckets(metric.histogram).values()) == count, labels_of(metric)
            assert metric.histogram.bucket[-1].cumulative_count == count, labels_of(metric)
            counts[family.name] += count
    return counts
