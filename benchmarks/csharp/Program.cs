// One end of a measurement, made of LiteNetLib: the C# counterpart of benchmarks/child.py.
//
// Its arguments: the mode, the workload, the role, and options as name=number.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using LiteNetLib;

// Standard output is for facts alone.
sealed class Complaints : INetLogger
{
    public void WriteNet(NetLogLevel level, string text, params object[] args)
    {
        Console.Error.WriteLine(level + " " + text, args);
    }
}

static class Program
{
    static int Main(string[] args)
    {
        NetDebug.Logger = new Complaints();
        Say("python", null, "engine", null);
        var options = new Dictionary<string, double>();
        for (int i = 3; i < args.Length; i++)
        {
            string[] pair = args[i].Split('=');
            options[pair[0]] = double.Parse(pair[1], CultureInfo.InvariantCulture);
        }
        var side = new Side(args[0]);
        Roles.Prepare(side, args[1], args[2], options);
        side.Run();
        return 0;
    }

    // Tells the process that has started us, in one line of JSON.
    public static void Say(params object[] facts)
    {
        var line = new StringBuilder("{");
        for (int i = 0; i < facts.Length; i += 2)
        {
            if (i > 0)
                line.Append(", ");
            line.Append('"').Append(facts[i]).Append("\": ");
            if (facts[i + 1] == null)
                line.Append("null");
            else
                line.Append(Convert.ToDouble(facts[i + 1]).ToString("R", CultureInfo.InvariantCulture));
        }
        lock (Console.Out)
        {
            Console.Out.WriteLine(line.Append('}'));
            Console.Out.Flush();
        }
    }
}
