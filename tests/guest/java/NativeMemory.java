import java.lang.management.ManagementFactory;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/** Native memory tracking by the diagnostic command's bean: which kinds of memory there are. */
public class NativeMemory {
    public static void main(String[] args) throws Exception {
        print(command("vmNativeMemory", "summary"));
        System.out.println(command("vmNativeMemory", "baseline").trim());
        print(command("vmNativeMemory", "summary.diff"));
        String heap = command("gcHeapInfo");
        System.out.println("heap " + (heap.length() > 40));
    }

    static String command(String name, String... arguments) throws Exception {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        ObjectName bean = new ObjectName("com.sun.management:type=DiagnosticCommand");
        return (String) server.invoke(bean, name, new Object[] {arguments}, new String[] {String[].class.getName()});
    }

    static void print(String text) {
        Pattern kind = Pattern.compile("^-\\s+(\\S.*?) \\(reserved=(\\d+)KB.*committed=(\\d+)KB.*");
        for (String line : text.split("\n")) {
            Matcher matcher = kind.matcher(line);
            if (matcher.matches() && !matcher.group(1).equals("Object Monitors")) { // those are there once a monitor was contended
                long reserved = Long.parseLong(matcher.group(2));
                long committed = Long.parseLong(matcher.group(3));
                System.out.println(matcher.group(1) + " " + (committed <= reserved ? "fits" : line));
            } else if (line.startsWith("Total:")) {
                // Whether the JIT compiler has just taken an arena since the baseline is a matter of time.
                System.out.println(line.replaceAll(" [+-]\\d+KB", ""));
            }
        }
    }
}
