"""Parses and prints JSON with protobuf for Python. scripts/protobuf-oracle runs it.

A request is a line of standard input: a verb and its arguments, separated by tabs; texts and bytes are in base64.

  types DESCRIPTORS MESSAGE   Sets the encoded FileDescriptorSet and the name of the message type for the other requests.
                              Response: `types VERSION`
  read JSON                   Parses a message. Response: `read BINARY` or `refused REASON`
  make SEED COUNT             Generates random messages. Response: COUNT lines `made BINARY JSON HABIT`; HABIT names the
                              options of the printer, which alternate
"""

import base64
import random
import struct
import sys

import google.protobuf
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

HABITS = [
    ("plain", {}),
    ("proto names", {"preserving_proto_field_name": True}),
    ("defaults", {"always_print_fields_with_no_presence": True}),
    ("enums as numbers", {"use_integers_for_enums": True}),
    ("int64 as numbers", {"unquote_int64_if_possible": True}),
    ("no escapes, no blanks", {"ensure_ascii": False, "indent": None, "sort_keys": True}),
]

GOOGLE = "google.protobuf."
WRAPPERS = ["Bool", "Int32", "Int64", "UInt32", "UInt64", "Float", "Double", "String", "Bytes"]
HELD = [GOOGLE + name for name in ["Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Empty", "Any"]]
HELD += [GOOGLE + name + "Value" for name in WRAPPERS]

STRINGS = ["", "a", "Z", "0", " ", "\0", "\n", "\r\n\t", "\x1b", "\x7f", '"', "\\", "/", "<>&'", "\u00e9", "e\u0301", "\u0416"]
STRINGS += ["\u2028", "\u2029", "\ufeff", "\ufffd", "\ufffe", "\ud7ff", "\ue000", "\u540d\u524d", "\U0001f600", "\U0010ffff"]
STRINGS += ["null", "true", "1e3", "NaN", "@type", "a.b_c", "x" * 300]
DOUBLES = [0.0, -0.0, 1.0, -1.5, 0.1, 1e-7, 1e16, 1e21, 1e22, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
DOUBLES += [9007199254740992.0, 9007199254740993.0, 3.4028234663852886e38, 1.401298464324817e-45, 16777217.0]
UNBOUNDED = [float("nan"), float("inf"), float("-inf")]
FIRST_SECOND, LAST_SECOND = -62135596800, 253402300799
LONGEST = 315576000000
NANOS = [0, 1, 999, 1000, 1001, 999999, 1000000, 500000000, 999000000, 999999000, 999999999]


class Maker:
    """Generates random messages."""

    def __init__(self, pool, root, seed):
        self.pool = pool
        self.root = root
        self.random = random.Random(seed)
        self.held = HELD + [root.full_name] + [m.full_name for m in root.file.message_types_by_name.values()]

    def message(self, descriptor, depth=0):
        """A random message of a type."""
        message = message_factory.GetMessageClass(descriptor)()
        name = descriptor.full_name
        if name.startswith(GOOGLE):
            special = getattr(self, name.removeprefix(GOOGLE).lower(), None)
            if special is not None:
                special(message, depth)
                return message
        few = [24, 8, 4, 2][depth] if depth < 4 else 0
        fields = list(descriptor.fields)
        for field in self.random.sample(fields, min(len(fields), self.random.randint(0, few))):
            self.field(message, field, depth)
        return message

    def field(self, message, field, depth):
        """Sets a field of a message."""
        name = field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key, value = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            for _ in range(self.random.randint(0, 4)):
                entries, at = getattr(message, name), self.scalar(key)
                if value.message_type is None:
                    entries[at] = self.scalar(value)
                else:
                    entries[at].CopyFrom(self.message(value.message_type, depth + 1))
        elif field.is_repeated:
            items = getattr(message, name)
            for _ in range(self.random.randint(0, 4)):
                if field.message_type is None:
                    items.append(self.scalar(field))
                else:
                    items.add().CopyFrom(self.message(field.message_type, depth + 1))
        elif field.message_type is not None:
            getattr(message, name).CopyFrom(self.message(field.message_type, depth + 1))
            getattr(message, name).SetInParent()
        else:
            setattr(message, name, self.scalar(field))

    def scalar(self, field):
        """A value of a scalar field."""
        kind = field.cpp_type
        if kind == field.CPPTYPE_INT32:
            return self.integer(-(2**31), 2**31 - 1)
        if kind == field.CPPTYPE_INT64:
            return self.integer(-(2**63), 2**63 - 1)
        if kind == field.CPPTYPE_UINT32:
            return self.integer(0, 2**32 - 1)
        if kind == field.CPPTYPE_UINT64:
            return self.integer(0, 2**64 - 1)
        if kind == field.CPPTYPE_BOOL:
            return self.random.random() < 0.5
        if kind == field.CPPTYPE_ENUM:
            return self.number_of(field.enum_type)
        if kind == field.CPPTYPE_FLOAT:
            return self.single()
        if kind == field.CPPTYPE_DOUBLE:
            return self.double()
        if field.type == field.TYPE_BYTES:
            return self.random.randbytes(self.random.choice([0, 1, 2, 3, 4, 30]))
        return self.text()

    def integer(self, least, most):
        edges = [0, 1, -1, least, most, least + 1, most - 1, 2**53, 2**53 + 1, -(2**53) - 1, 10**18]
        edges = [edge for edge in edges if least <= edge <= most]
        if self.random.random() < 0.4:
            return self.random.choice(edges)
        return self.random.randint(least, most) >> self.random.randint(0, 62)

    def number_of(self, enum):
        if enum.full_name == GOOGLE + "NullValue":
            return 0
        if self.random.random() < 0.2:
            return self.integer(-(2**31), 2**31 - 1)
        return self.random.choice(list(enum.values)).number

    def double(self, bounded=False):
        if self.random.random() < 0.4:
            return self.random.choice(DOUBLES if bounded else DOUBLES + UNBOUNDED)
        value = struct.unpack("<d", self.random.randbytes(8))[0]
        return value if not bounded or abs(value) < float("inf") else 0.25

    def single(self):
        if self.random.random() < 0.3:
            return self.random.choice([0.0, -0.0, 0.1, 3.4028234663852886e38, 1.401298464324817e-45, 16777216.0] + UNBOUNDED)
        return struct.unpack("<f", self.random.randbytes(4))[0]

    def text(self):
        return "".join(self.random.choices(STRINGS, k=self.random.choice([0, 1, 1, 2, 5])))

    def timestamp(self, message, _):
        edges = [FIRST_SECOND, LAST_SECOND, 0, -1, 951782400, 4107542399]
        spread = self.random.randint(FIRST_SECOND, LAST_SECOND)
        message.seconds = self.random.choice(edges + [spread, spread])
        message.nanos = self.random.choice(NANOS + [self.random.randint(0, 999999999)])

    def duration(self, message, _):
        sign = self.random.choice([1, -1])
        message.seconds = sign * self.random.choice([0, 0, 1, LONGEST - 1, self.random.randint(0, LONGEST - 1)])
        message.nanos = sign * self.random.choice(NANOS + [self.random.randint(0, 999999999)])

    def fieldmask(self, message, _):
        word = lambda: "_".join(self.random.choices(["a", "foo", "bar2", "x9y", "zz"], k=self.random.randint(1, 3)))
        for _ in range(self.random.randint(0, 3)):
            message.paths.append(".".join(word() for _ in range(self.random.randint(1, 3))))

    def value(self, message, depth):
        kind = self.random.randint(0, 3 if depth > 5 else 5)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            message.number_value = self.double(bounded=True)
        elif kind == 2:
            message.string_value = self.text()
        elif kind == 3:
            message.bool_value = self.random.random() < 0.5
        elif kind == 4:
            message.struct_value.SetInParent()
            self.struct(message.struct_value, depth + 1)
        else:
            message.list_value.SetInParent()
            self.listvalue(message.list_value, depth + 1)

    def struct(self, message, depth):
        for _ in range(self.random.randint(0, 3)):
            self.value(message.fields[self.text()], depth + 1)

    def listvalue(self, message, depth):
        for _ in range(self.random.randint(0, 3)):
            self.value(message.values.add(), depth + 1)

    def any(self, message, depth):
        if self.random.random() < 0.1:
            return
        held = self.message(self.pool.FindMessageTypeByName(self.random.choice(self.held)), depth + 1)
        message.type_url = self.random.choice(["type.googleapis.com/", "/", "a.example/b/c/"]) + held.DESCRIPTOR.full_name
        message.value = held.SerializeToString()


class Oracle:
    """Handles requests for one message type."""

    def types(self, descriptors, name):
        files = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(descriptors))
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file)
        self.descriptor = self.pool.FindMessageTypeByName(name)
        self.message = message_factory.GetMessageClass(self.descriptor)
        yield "types", google.protobuf.__version__

    def read(self, text):
        message = self.message()
        try:
            json_format.Parse(base64.b64decode(text), message, descriptor_pool=self.pool)
        # UnicodeDecodeError, for invalid UTF-8, is a ValueError.
        except (json_format.ParseError, ValueError) as why:
            yield "refused", ascii(str(why))
        else:
            yield "read", encoded(message.SerializeToString())

    def make(self, seed, count):
        maker = Maker(self.pool, self.descriptor, int(seed))
        for index in range(int(count)):
            message = maker.message(self.descriptor)
            name, options = HABITS[index % len(HABITS)]
            text = json_format.MessageToJson(message, descriptor_pool=self.pool, **options)
            yield "made", encoded(message.SerializeToString()), encoded(text.encode()), name


def encoded(some):
    return base64.b64encode(some).decode()


def main():
    oracle = Oracle()
    for line in sys.stdin:
        verb, *arguments = line.rstrip("\n").split("\t")
        for answer in getattr(oracle, verb)(*arguments):
            print(*answer, sep="\t")


main()
