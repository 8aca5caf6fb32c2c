// W8: records written and read again.

using System;
using System.Collections.Generic;
using LiteNetLib.Utils;

static class Records
{
    sealed class Record
    {
        public int Number { get; set; }
        public float Place { get; set; }
        public ushort Kind { get; set; }
        public long Time { get; set; }
        public bool Alive { get; set; }
        public string Name { get; set; }
    }

    const int Batch = 500;

    static readonly Record Sample = new Record
    {
        Number = -123456,
        Place = 0.5f,
        Kind = 40000,
        Time = 1L << 40,
        Alive = true,
        Name = "twelve chars",
    };

    public static void Measure(Dictionary<string, double> o)
    {
        double seconds = o["seconds"];
        Program.Say("by_hand", Rate(ByHand, seconds), "by_class", Rate(BySerializer, seconds));
    }

    static double Rate(Action<int> writeAndRead, double seconds)
    {
        double warmUntil = Side.Now + seconds / 10;
        while (Side.Now < warmUntil)
            writeAndRead(Batch);
        double began = Side.Now, now = began;
        long rounds = 0;
        for (; now < began + seconds; now = Side.Now)
        {
            writeAndRead(Batch);
            rounds += Batch;
        }
        return rounds / (now - began);
    }

    static void Check(Record read)
    {
        if (read.Name != Sample.Name || read.Time != Sample.Time || read.Kind != Sample.Kind)
            throw new InvalidOperationException("the record is broken");
    }

    static void ByHand(int rounds)
    {
        var writer = new NetDataWriter();
        Record read = null;
        for (int i = 0; i < rounds; i++)
        {
            writer.Reset();
            writer.Put(Sample.Number);
            writer.Put(Sample.Place);
            writer.Put(Sample.Kind);
            writer.Put(Sample.Time);
            writer.Put(Sample.Alive);
            writer.Put(Sample.Name);
            var reader = new NetDataReader(writer.CopyData());
            read = new Record
            {
                Number = reader.GetInt(),
                Place = reader.GetFloat(),
                Kind = reader.GetUShort(),
                Time = reader.GetLong(),
                Alive = reader.GetBool(),
                Name = reader.GetString(),
            };
        }
        Check(read);
    }

    static void BySerializer(int rounds)
    {
        var serializer = new NetSerializer();
        serializer.Register<Record>();
        var writer = new NetDataWriter();
        Record read = null;
        for (int i = 0; i < rounds; i++)
        {
            writer.Reset();
            serializer.Serialize(writer, Sample);
            read = serializer.Deserialize<Record>(new NetDataReader(writer.CopyData()));
        }
        Check(read);
    }
}
